"""Whisper's encoder."""

from typing import Any, Dict, Optional

import torch
from typeguard import typechecked

from espnet_samu.frontend.abs_family import AbsFamily
from espnet_samu.frontend.whisper_log_mel import HOP, WhisperLogMel
from espnet_samu.utils.masks import valid_mask

STRIDE = 2  # of the second convolution: frames of 20 ms


class WhisperFamily(AbsFamily):
    """Log-mel frames of a 30 s window, then a transformer; the decoder is left out.

    As in its training the model attends to the silence that fills the window, so that
    a short utterance costs as much as a long one. The frames of the silence are cut
    off afterwards.

    Args:
        config: Configuration of transformers.
    """

    # The checkpoint is of the whole model.
    KEY_MAPPING = {r"^model\.encoder\.": "", r"^encoder\.": ""}
    UNUSED = r"(model\.)?decoder\."
    LAYERDROP = "encoder_layerdrop"
    LAST_STATE_IS_OUTPUT = True

    @typechecked
    def __init__(self, config):
        super().__init__()
        window = config.max_source_positions * STRIDE * HOP
        self.log_mel = WhisperLogMel(config.num_mel_bins, window)

    def model_class(self, config):
        """See :class:`AbsFamily`."""
        from transformers.models.whisper.modeling_whisper import WhisperEncoder

        return WhisperEncoder

    def portable_conf(self) -> Dict[str, Any]:
        """See :class:`AbsFamily`."""
        return {}

    def encoder(self, model: torch.nn.Module) -> torch.nn.Module:
        """See :class:`AbsFamily`."""
        return model

    def final_norm(self, model: torch.nn.Module) -> Optional[torch.nn.Module]:
        """See :class:`AbsFamily`."""
        return model.layer_norm

    def longest(self) -> Optional[int]:
        """See :class:`AbsFamily`."""
        return self.log_mel.window

    def frame_lengths(
        self, model: torch.nn.Module, lengths: torch.Tensor
    ) -> torch.Tensor:
        """See :class:`AbsFamily`."""
        frames = self.log_mel.output_lengths(lengths)
        return torch.div(frames + STRIDE - 1, STRIDE, rounding_mode="floor")

    def features(
        self, model: torch.nn.Module, waveforms: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        """Log-mel frames (B, M, T) of the window."""
        return self.log_mel(waveforms, lengths)

    def encode(
        self, model: torch.nn.Module, features: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        """See :class:`AbsFamily`."""
        from transformers import WhisperModel

        # SpecAugment belongs to the whole model, but asks no more than the encoder
        # has: its configuration, and whether it trains.
        mask = valid_mask(self.log_mel.output_lengths(lengths), features.size(2))
        features = WhisperModel._mask_input_features(model, features, mask)
        return model(features.to(model.dtype)).last_hidden_state
