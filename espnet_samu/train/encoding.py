"""Waveforms through frontend and encoder, as the distillation does it."""

from typing import Optional, Tuple

import torch
from espnet2.asr.specaug.abs_specaug import AbsSpecAug
from espnet2.layers.abs_normalize import AbsNormalize

from espnet_samu.train.update_counter import UpdateCounter


def encode_waveforms(
    model: UpdateCounter,
    speech: torch.Tensor,
    speech_lengths: torch.Tensor,
    specaug: Optional[AbsSpecAug] = None,
    normalize: Optional[AbsNormalize] = None,
) -> Tuple[torch.Tensor, torch.Tensor]:
    """Frames (B, T, D) and their number (B,).

    Args:
        model: Has ``frontend`` and ``encoder``; what it freezes has no gradient and
            is not masked.
        speech: Waveforms (B, N).
        speech_lengths: Samples (B,).
        specaug: Masks the frontend's frames in training.
        normalize: Normalises the frontend's frames.
    """
    speech = speech[:, : speech_lengths.max()]
    masked = model.training and not model.encoder_is_frozen()
    with model.encoder_mode():
        frames, lengths = model.frontend(speech, speech_lengths)
        if specaug is not None and masked:
            frames, lengths = specaug(frames, lengths)
        if normalize is not None:
            frames, lengths = normalize(frames, lengths)
        frames, lengths, _ = model.encoder(frames, lengths)
    return frames, lengths
