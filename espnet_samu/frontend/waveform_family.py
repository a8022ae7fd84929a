"""Encoders over the waveform: wav2vec2 (XLS-R), HuBERT, WavLM."""

import logging
import os
from typing import Any

import torch
from typeguard import typechecked

from espnet_samu.frontend.abs_family import AbsFamily
from espnet_samu.frontend.padding import (
    FixedBatchNorm1d,
    MaskedConv1d,
    MaskedGroupNorm,
    batch_lengths,
)
from espnet_samu.utils.torch_modules import valid_mask


class WaveformFamily(AbsFamily):
    """Convolutions over the waveform, then a transformer.

    Args:
        normalize: Zero mean and unit variance for each waveform. None: as the
            checkpoint's preprocessor_config.json says. A folder without that file:
            as models of its kind of norm are usually trained, with a warning.
        source: Hub id or folder of that checkpoint.
        revision: Branch, tag or commit on the hub.
    """

    @typechecked
    def __init__(
        self,
        normalize: bool | None = None,
        source: str | None = None,
        revision: str | None = None,
    ):
        super().__init__()
        if normalize is None:
            normalize = False if source is None else _normalizes(source, revision)
        self.normalize = normalize

    def portable_conf(self) -> dict[str, Any]:
        """See :class:`AbsFamily`."""
        return {"normalize_waveform": self.normalize}

    def mask_padding(self, model: torch.nn.Module) -> None:
        """See :class:`AbsFamily`."""
        if self.normalize is None:
            self.normalize = model.config.feat_extract_norm == "layer"
            logging.warning(
                "no preprocessor_config.json says whether the encoder takes normalised "
                f"waveforms; normalize_waveform: {str(self.normalize).lower()} is what "
                f"models with feat_extract_norm: {model.config.feat_extract_norm} "
                "usually take. Set it in frontend_conf"
            )
        if model.config.feat_extract_norm == "group":
            first = model.feature_extractor.conv_layers[0]
            first.layer_norm = MaskedGroupNorm.from_group_norm(first.layer_norm)
        if getattr(model.config, "conv_pos_batch_norm", False):
            # The batch norm before it makes something of padded zeros.
            position = model.encoder.pos_conv_embed
            position.conv = MaskedConv1d.from_conv1d(position.conv)
            position.batch_norm = FixedBatchNorm1d.from_batch_norm(position.batch_norm)

    def final_norm(self, model: torch.nn.Module) -> torch.nn.Module | None:
        """See :class:`AbsFamily`."""
        return model.encoder.layer_norm if model.config.do_stable_layer_norm else None

    def freeze_feature_encoder(self, model: torch.nn.Module) -> None:
        """See :class:`AbsFamily`."""
        model.feature_extractor._freeze_parameters()

    def checkpoint_activations(self, model: torch.nn.Module) -> None:
        """See :class:`AbsFamily`."""
        super().checkpoint_activations(model)
        # Its norm has no lengths outside of the forward pass.
        if model.config.feat_extract_norm == "group":
            model.feature_extractor.conv_layers[0].gradient_checkpointing = False

    def frame_lengths(
        self, model: torch.nn.Module, lengths: torch.Tensor
    ) -> torch.Tensor:
        """See :class:`AbsFamily`."""
        for kernel, stride in zip(model.config.conv_kernel, model.config.conv_stride):
            lengths = (lengths - kernel) // stride + 1
        return lengths

    def features(
        self, model: torch.nn.Module, waveforms: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        """Return waveforms (B, N), zero in the padding."""
        waveforms = waveforms.float()
        mask = valid_mask(lengths, waveforms.size(1))
        if self.normalize:
            count = lengths[:, None]
            mean = (waveforms * mask).sum(1, keepdim=True) / count
            waveforms = waveforms - mean
            variance = (waveforms * mask).square().sum(1, keepdim=True) / count
            waveforms = waveforms / (variance + 1e-7).sqrt()
        waveforms = waveforms * mask
        config = model.config
        # SpecAugment of transformers refuses a batch shorter than one of its masks.
        samples = config.mask_time_length
        for kernel, stride in zip(config.conv_kernel[::-1], config.conv_stride[::-1]):
            samples = (samples - 1) * stride + kernel
        shortfall = samples - waveforms.size(1)
        if model.training and shortfall > 0:
            waveforms = torch.nn.functional.pad(waveforms, (0, shortfall))
        return waveforms

    def encode(
        self, model: torch.nn.Module, features: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        """See :class:`AbsFamily`."""
        config, masked = model.config, {}
        if config.feat_extract_norm == "group":
            kernel, stride = config.conv_kernel[0], config.conv_stride[0]
            first = model.feature_extractor.conv_layers[0]
            masked[first.layer_norm] = (lengths - kernel) // stride + 1
        if getattr(config, "conv_pos_batch_norm", False):
            position = model.encoder.pos_conv_embed
            masked[position.conv] = self.frame_lengths(model, lengths)
        mask = valid_mask(lengths, features.size(1))
        features = features.to(model.dtype)
        with batch_lengths(masked):
            return model(features, attention_mask=mask).last_hidden_state


def _normalizes(model: str, revision: str | None) -> bool | None:
    """Read from preprocessor_config.json whether waveforms are normalised.

    Returns:
        None for a folder that has none.

    Raises:
        ValueError: The hub does not give it: a request that fails once must not train
            another model.
    """
    from transformers import AutoFeatureExtractor

    try:
        extractor = AutoFeatureExtractor.from_pretrained(
            model, revision=revision, trust_remote_code=False
        )
    except OSError as error:
        if os.path.isdir(model):
            return None
        raise ValueError(
            f"preprocessor_config.json of {model} cannot be read; try again, or set "
            "normalize_waveform: true (XLS-R) or false in frontend_conf"
        ) from error
    return bool(getattr(extractor, "do_normalize", False))
