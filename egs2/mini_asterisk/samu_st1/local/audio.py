"""Join recorded units to utterances."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import soundfile
from spoken import Phrase

RATE = 16_000  # samples/s
UNIT_PAUSE = (0.00, 0.02)  # seconds, uniform: between the parts of a number
PHRASE_PAUSE = (0.02, 0.10)  # seconds, uniform: between phrases
EDGE_PAUSE = (0.02, 0.10)  # seconds, uniform: before and after the utterance
FADE = int(0.005 * RATE)  # samples (5 ms): a cut recording would click


def read_recording(path: Path) -> np.ndarray:
    """Read a unit, faded in and out.

    Returns:
        Samples ``(N,)``, int16.

    Raises:
        ValueError: It is not sampled at 16 kHz.
    """
    samples, rate = soundfile.read(path, dtype="int16")
    if rate != RATE:
        raise ValueError(f"{path}: {rate} Hz, expected {RATE} Hz")
    gain = np.ones(len(samples))
    gain[:FADE] = np.linspace(0.0, 1.0, FADE)
    gain[-FADE:] = np.linspace(1.0, 0.0, FADE)
    return (samples * gain).astype(np.int16)


def join(
    phrases: Iterable[Phrase], recordings: Mapping[str, np.ndarray], seed: str
) -> np.ndarray:
    """Join recordings with short pauses.

    Args:
        phrases: What is said.
        recordings: Unit id -> samples ``(N,)`` of one speaker.
        seed: Decides the pauses: of this utterance alone, so that the number of
            utterances or the order of writing changes nothing.

    Returns:
        Samples ``(N,)``, int16.
    """
    rng = random.Random(seed)

    def pause(limits: tuple[float, float]) -> np.ndarray:
        return np.zeros(round(rng.uniform(*limits) * RATE), np.int16)

    parts = [pause(EDGE_PAUSE)]
    for i, phrase in enumerate(phrases):
        if i:
            parts.append(pause(PHRASE_PAUSE))
        for j, unit in enumerate(phrase.units):
            if j:
                parts.append(pause(UNIT_PAUSE))
            parts.append(recordings[unit])
    return np.concatenate([*parts, pause(EDGE_PAUSE)])
