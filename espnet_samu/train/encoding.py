"""Encoding of waveforms in training: frontend, masking and encoder, frozen at first."""

import contextlib

import torch
from espnet2.asr.specaug.abs_specaug import AbsSpecAug
from espnet2.layers.abs_normalize import AbsNormalize


class UpdateCounter(torch.nn.Module):
    """Mixin for a model: ``model_conf: {freeze_encoder_updates: 10000}``.

    What reads the pre-trained encoder can settle before gradients reach it. The
    model calls :meth:`init_updates` at the end of its constructor, and computes
    ``frontend`` and ``encoder`` inside :meth:`encoder_mode`; its task registers
    :meth:`count_update` with the optimiser.
    """

    freeze_encoder_updates: int = 0
    updates: torch.Tensor
    frontend: torch.nn.Module
    encoder: torch.nn.Module

    def init_updates(self, freeze_encoder_updates: int) -> None:
        """Set the number of first updates in which the encoder is frozen.

        Raises:
            ValueError: It is negative.
        """
        if freeze_encoder_updates < 0:
            raise ValueError(
                "model_conf: freeze_encoder_updates must not be negative, but got "
                f"{freeze_encoder_updates}"
            )
        self.freeze_encoder_updates = freeze_encoder_updates
        self.register_load_state_dict_post_hook(_do_without_count)
        if freeze_encoder_updates > 0:
            # In the checkpoint: a resumed training goes on counting.
            self.register_buffer("updates", torch.tensor(0))

    def restart_count(self) -> None:
        """Reset the count, which loaded weights may have brought along."""
        if self.freeze_encoder_updates > 0:
            self.updates.zero_()

    def count_update(self, *_) -> None:
        """Count an update; a hook for ``Optimizer.register_step_post_hook``."""
        if self.freeze_encoder_updates > 0:
            self.updates += 1

    def encoder_is_frozen(self) -> bool:
        """Return whether this is one of the first updates, in training."""
        return (
            self.training
            and self.freeze_encoder_updates > 0
            and int(self.updates) < self.freeze_encoder_updates
        )

    def encoder_mode(self) -> contextlib.AbstractContextManager[None]:
        """Set training or eval mode of frontend and encoder.

        Returns:
            Inside it there are gradients, or none as long as they are frozen.
        """
        frozen = self.encoder_is_frozen()
        if self.training and self.freeze_encoder_updates > 0:
            for part in (self.frontend, self.encoder):
                # Walking through all modules costs as much as a small forward.
                if part is not None and part.training == frozen:
                    part.train(not frozen)
        return torch.no_grad() if frozen else contextlib.nullcontext()


def _do_without_count(model: UpdateCounter, incompatible) -> None:
    """Accept a state dict with a count that the model does not need (load hook)."""
    if model.freeze_encoder_updates == 0:
        incompatible.unexpected_keys[:] = [
            key for key in incompatible.unexpected_keys if key != "updates"
        ]


def encode_waveforms(
    model: UpdateCounter,
    speech: torch.Tensor,
    speech_lengths: torch.Tensor,
    specaug: AbsSpecAug | None = None,
    normalize: AbsNormalize | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return encoder frames (B, T, D) and their numbers (B,).

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
