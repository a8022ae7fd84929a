"""Encoding of waveforms in training: frontend, masking and encoder, frozen at first."""

import argparse
import contextlib
import logging
from pathlib import Path
from typing import Any, NamedTuple

import torch
from espnet2.asr.specaug.abs_specaug import AbsSpecAug
from espnet2.layers.abs_normalize import AbsNormalize

from espnet_samu.frontend.frames_cache import DTYPES, FramesCache, used_bytes
from espnet_samu.frontend.samu import SamuFrontend
from espnet_samu.utils.distributed import world_size
from espnet_samu.utils.waveform import SAMPLING_RATE


class UpdateCounter(torch.nn.Module):
    """Mixin for a model: ``model_conf: {freeze_encoder_updates: 10000}``.

    So layers with random weights settle before they send gradients to the pre-trained
    encoder. The model calls :meth:`init_updates` at the end of its constructor, and
    computes ``frontend`` and ``encoder`` inside :meth:`encoder_mode`; its task
    registers :meth:`count_update` with the optimiser.
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
        self.register_load_state_dict_post_hook(_ignore_count)
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


def _ignore_count(model: UpdateCounter, incompatible) -> None:
    """Accept a state dict with a count that the model does not need (load hook)."""
    if model.freeze_encoder_updates == 0:
        incompatible.unexpected_keys[:] = [
            key for key in incompatible.unexpected_keys if key != "updates"
        ]


class FramesSettings(NamedTuple):
    """Where the frames of a frozen encoder are kept, and how."""

    root: Path
    """Folder of all encoders."""
    dtype: torch.dtype
    """Type that is stored."""
    limit: int
    """Most bytes of all encoders' frames."""
    seconds: float
    """Speech of the training, validation included; 0: not known."""


def frames_settings(
    args: argparse.Namespace, model: torch.nn.Module
) -> FramesSettings | None:
    """Return the settings of the frames cache; None, and a reason in the log, without.

    Args:
        args: Options of a training.
        model: To be trained.

    Raises:
        ValueError: ``frames_cache_dtype`` is none, or ``frames_cache_gb`` negative.
    """
    if args.frames_cache_dtype not in DTYPES:
        raise ValueError(
            f"frames_cache_dtype: '{args.frames_cache_dtype}' is not one of "
            f"{', '.join(DTYPES)}"
        )
    if args.frames_cache_gb < 0:
        raise ValueError(f"frames_cache_gb: {args.frames_cache_gb} is negative")
    frontend: Any = getattr(model, "frontend", None)
    if not args.frames_cache_dir or args.frames_cache_gb == 0:
        return None
    conf = getattr(args, "preprocessor_conf", None) or {}
    augmented = [
        name
        for name in ("rir_scp", "noise_scp", "data_aug_effects")
        if conf.get(name) or getattr(args, name, None)
    ]
    if not isinstance(frontend, SamuFrontend):
        return None
    reason = ""
    if _is_trained(frontend):
        reason = "it is trained"
    elif augmented:
        reason = f"{augmented[0]} makes other speech in every epoch"
    elif args.ngpu > 1 and not args.distributed:
        reason = "one process has several GPUs (--multiprocessing_distributed false)"
    if reason:
        logging.info(f"The encoder's frames are computed in every epoch: {reason}")
        return None
    files = [*args.train_shape_file[:1], *args.valid_shape_file[:1]]
    return FramesSettings(
        Path(args.frames_cache_dir),
        DTYPES[args.frames_cache_dtype],
        int(args.frames_cache_gb * 1e9),
        sum(map(_samples, files)) / SAMPLING_RATE,
    )


def _is_trained(module: torch.nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters())


def _samples(shape_file: str) -> int:
    """Return the samples of all utterances of a shape file, as far as it says them.

    With ``--num_splits_st`` it is a folder of parts.
    """
    path = Path(shape_file)
    total = 0
    for part in path.glob("split.*") if path.is_dir() else [path]:
        for line in part.read_text(encoding="utf-8").splitlines():
            size = line.split()[1].partition(",")[0]
            total += int(size) if size.isdigit() else 0
    return total


def open_frames_cache(model: torch.nn.Module) -> None:
    """Open the cache of a model that has settings for it, once its weights are loaded.

    An open one gets what other processes have written: in every epoch utterances come
    to other processes.

    Args:
        model: To be trained, in this process.
    """
    settings: FramesSettings | None = getattr(model, "frames_settings", None)
    frontend: Any = getattr(model, "frontend", None)
    if settings is None:
        return
    if frontend.cache is not None:
        frontend.cache.refresh()
        return
    dtype = str(settings.dtype).removeprefix("torch.")
    folder = settings.root / f"{frontend.fingerprint()}_{dtype}"
    used = used_bytes(settings.root)
    room = max(0, settings.limit - used) // world_size()
    size = frontend.output_size()
    frontend.cache = FramesCache(folder, size, settings.dtype, room)
    second = torch.tensor([SAMPLING_RATE])
    n_frames = int(frontend.output_lengths(second)) * frontend.average_frames
    needed = settings.seconds * n_frames * size * settings.dtype.itemsize
    hours = settings.seconds / 3600
    estimate = f", about {needed / 1e9:.1f} GB for {hours:.1f} hours of speech"
    logging.info(
        f"The encoder is frozen: its frames are kept in {folder}"
        f"{estimate if needed else ''}; {len(frontend.cache)} utterances are there. "
        f"{used / 1e9:.1f} of {settings.limit / 1e9:g} GB (--frames_cache_gb) are used "
        f"in {settings.root}; what is beyond is computed in every epoch"
    )


def keep_frames(
    model: torch.nn.Module, args: argparse.Namespace, folder: str | None
) -> None:
    """Open the cache of a trained model, for inference in float32.

    Args:
        model: Its frozen frontend is the same as in training; with another one nothing
            is kept.
        args: Options of its training, which name type and limit.
        folder: Of all encoders' frames; None: nothing is kept.
    """
    frontend: Any = getattr(model, "frontend", None)
    if folder is None or not isinstance(frontend, SamuFrontend):
        return
    if _is_trained(frontend):
        logging.info("The encoder's frames are not kept: it was trained")
        return
    dtype = getattr(args, "frames_cache_dtype", "float16")
    limit = int(getattr(args, "frames_cache_gb", 20.0) * 1e9)
    settings = FramesSettings(Path(folder), DTYPES[dtype], limit, 0.0)
    model.frames_settings = settings  # type: ignore[assignment]
    open_frames_cache(model)


def close_frames_cache(model: torch.nn.Module) -> None:
    """Close a model's cache, and log how much of the work it has spared."""
    cache = getattr(getattr(model, "frontend", None), "cache", None)
    if cache is not None:
        logging.info(
            f"Frames of {cache.n_computed} utterances were computed, of "
            f"{cache.n_read} read"
        )
        cache.close()
        model.frontend.cache = None  # type: ignore[union-attr]


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
