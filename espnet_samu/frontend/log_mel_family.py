"""Encoders over stacked log-mel frames: w2v-BERT 2.0."""

from typing import Any, Dict, Optional

import torch
from typeguard import typechecked

from espnet_samu.frontend.abs_family import AbsFamily
from espnet_samu.frontend.log_mel import LogMel
from espnet_samu.utils.masks import valid_mask


class LogMelFamily(AbsFamily):
    """Stacked log-mel frames, then a conformer.

    Args:
        config: Configuration of transformers.
        log_mel_conf: Options of LogMel. Default: 80 bins, and as many stacked frames
            as the model's input size asks for.

    Raises:
        ValueError: The frames are not of the model's input size, or transformers
            counts the frames of the adapter wrongly.
    """

    @typechecked
    def __init__(self, config, log_mel_conf: Optional[Dict[str, Any]] = None):
        super().__init__()
        size = config.feature_projection_input_dim
        self.conf = dict(log_mel_conf or {"n_mels": 80, "stack": size // 80})
        self.log_mel = LogMel(**self.conf)
        if self.log_mel.output_size() != size:
            raise ValueError(
                f"log_mel_conf: {self.log_mel.n_mels} bins x {self.log_mel.stack} "
                f"frames are not the model's feature_projection_input_dim {size}"
            )
        kernel, stride = config.adapter_kernel_size, config.adapter_stride
        if config.add_adapter and kernel // 2 != stride // 2:
            raise ValueError(
                f"model_conf: with adapter_kernel_size {kernel} and adapter_stride "
                f"{stride} transformers attends to frames that are not there; half "
                "of both (rounded down) must be the same, as 3 and 2"
            )

    def portable_conf(self) -> Dict[str, Any]:
        """See :class:`AbsFamily`."""
        return {"log_mel_conf": self.conf}

    def frame_lengths(
        self, model: torch.nn.Module, lengths: torch.Tensor
    ) -> torch.Tensor:
        """See :class:`AbsFamily`."""
        return self.log_mel.output_lengths(lengths)

    def features(
        self, model: torch.nn.Module, waveforms: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        """Stacked log-mel frames (B, T, S * M), zero where padded."""
        frames, _ = self.log_mel(waveforms, lengths)
        # SpecAugment of transformers refuses a batch shorter than one of its masks.
        shortfall = model.config.mask_time_length - frames.size(1)
        if model.training and shortfall > 0:
            frames = torch.nn.functional.pad(frames, (0, 0, 0, shortfall))
        return frames

    def encode(
        self, model: torch.nn.Module, features: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        """See :class:`AbsFamily`."""
        mask = valid_mask(self.log_mel.output_lengths(lengths), features.size(1))
        features = features.to(model.dtype)
        return model(features, attention_mask=mask).last_hidden_state
