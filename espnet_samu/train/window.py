"""Whisper's window in training: its default, and batches that count it.

Whisper computes a whole window for every utterance, however short. A window of 30 s
for utterances of 3 s is tenfold work, so that a new training takes the longest
utterance of its data instead, and ``batch_bins`` counts windows.
"""

import argparse
import contextlib
import dataclasses
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from espnet_samu.frontend.whisper_family import POSITION
from espnet_samu.samplers.data_files import Shapes
from espnet_samu.train.saved_state import CONFIG, has_state
from espnet_samu.utils import hub, huggingface
from espnet_samu.utils.safe_reading import read_yaml
from espnet_samu.utils.waveform import SAMPLING_RATE

_SLOWED = ("speed_perturb", "time_stretch")
"""Effects of ESPnet's data augmentation that make an utterance longer."""


def set_window_seconds(args: argparse.Namespace) -> None:
    """Set ``window_seconds`` of a Whisper encoder for which frontend_conf has none.

    It is that of the training that goes on in this folder; else that of the student
    whose encoder the model starts from; else ``--max_wav_duration``, the longest
    utterance of the data, and longer if augmentation slows utterances down. Windows
    longer than the model's are the model's.

    Args:
        args: Options of a training; ``frontend_conf`` is replaced.
    """
    conf = args.frontend_conf
    if args.frontend != "samu" or conf.get("window_seconds") is not None:
        return
    model, revision = conf.get("model"), conf.get("revision")
    is_written = not conf.get("pretrained", True)
    source = None if is_written or model is None else hub.locate(model, revision)
    fields = conf.get("model_conf") or {}
    config = huggingface.load_config(source, fields, revision, is_written)
    if config.model_type != "whisper":
        return
    earlier = []
    if args.resume and has_state(args.output_dir):
        earlier.append(Path(args.output_dir, CONFIG))
    starts = getattr(args, "init_from_samu", False) or getattr(args, "samu_weight", 0)
    if starts and args.samu_model:
        earlier.append(Path(args.samu_model).parent / CONFIG)
    for path in earlier:
        if path.is_file():
            seconds = (read_yaml(path).get("frontend_conf") or {}).get("window_seconds")
            break
    else:
        if args.max_wav_duration is None:
            return
        augmentation = getattr(args, "preprocessor_conf", None) or {}
        effects = augmentation.get("data_aug_effects")
        longest = config.max_source_positions * POSITION / SAMPLING_RATE
        seconds = min(args.max_wav_duration / _slowest(effects), longest)
    args.frontend_conf = {**conf, "window_seconds": seconds}


def _slowest(effects: Any) -> float:
    """Return the smallest speed (at most 1) among nested lists of effects."""
    if not isinstance(effects, (list, tuple)):
        return 1.0
    if len(effects) == 3 and effects[1] in _SLOWED and isinstance(effects[2], Mapping):
        return min(1.0, effects[2].get("factor", 1.0))
    return min(map(_slowest, effects), default=1.0)


def window_of(args: argparse.Namespace) -> int | None:
    """Return the samples that are computed for each utterance.

    Args:
        args: Options of a built model, whose frontend_conf is complete.

    Returns:
        Samples at 16 kHz of Whisper's window; None for other frontends.
    """
    conf = (getattr(args, "frontend_conf", None) or {}).get("model_conf") or {}
    if getattr(args, "frontend", None) != "samu" or conf.get("model_type") != "whisper":
        return None
    return conf["max_source_positions"] * POSITION


def count_windows(shapes: Shapes, window: int, path: str) -> Shapes:
    """Return shapes whose batches count a window for each utterance.

    Args:
        shapes: Samples of each utterance, first column.
        window: Samples.
        path: Of the shape file, for the message.

    Raises:
        ValueError: An utterance is longer than the window.
    """
    samples = shapes.lengths[:, 0]
    longest = int(samples.argmax())
    if samples[longest] > window:
        raise ValueError(
            f"{path}: {int((samples > window).sum())} of {len(samples)} utterances are "
            f"longer than the window of whisper, {window / SAMPLING_RATE:g} s, e.g. "
            f"{shapes.utterances[longest].decode()} with "
            f"{samples[longest] / SAMPLING_RATE:.2f} s; set frontend_conf: "
            "window_seconds to more than that (the published models have 30 s), or "
            "drop them by --max_wav_duration, from stage 3"
        )
    logging.info(
        f"{path}: each of {len(samples)} utterances is computed as a window of "
        f"{window / SAMPLING_RATE:g} s (frontend_conf: window_seconds; default: the "
        "recipe's --max_wav_duration), and counts as that in batch_bins"
    )
    return dataclasses.replace(shapes, window=window)


@contextlib.contextmanager
def window_files(shapes: Shapes, paths: Sequence[str]) -> Iterator[list[str]]:
    """Write a shape file for ESPnet's samplers that has windows, for a with block.

    Args:
        shapes: From :func:`count_windows`.
        paths: The shape files that they were read from.

    Yields:
        Shape files, the first one in the order of the utterances' true lengths:
        ESPnet's samplers keep the order of equal lengths.
    """
    order = np.argsort(shapes.lengths[:, 0], kind="stable")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "window_shape")
        with path.open("w", encoding="utf-8") as file:
            for utterance in shapes.utterances[order].tolist():
                file.write(f"{utterance.decode()} {shapes.window}\n")
        yield [str(path), *paths[1:]]
