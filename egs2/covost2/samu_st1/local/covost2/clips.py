"""The sound files of clips: which can be used, and as what."""

from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Iterable, Iterator, Sequence

from covost2.validated import stem

from espnet_samu.utils.progress import progress

RATE = 16000
"""Samples per second of converted clips; Common Voice has 48 kHz, and some others."""
MODES = ("convert", "check", "stat")
MISSING = "missing audio"
EMPTY = "zero-length audio"
UNDECODABLE = "undecodable audio"
_SHARE = 256  # clips that a thread takes at a time


class Clips:
    """Sound files of Common Voice.

    Args:
        mode: What is done about a clip that a set asks for, once for all sets:
            ``convert``: decoded and written as FLAC of 16 kHz and one channel, which
            ESPnet's stage 3 then takes as it is; ``check``: its header is read, and
            sets name the mp3 file; ``stat``: only its size is looked at.
        output: Folder of the converted clips.
        jobs: Threads.

    Raises:
        ValueError: No such mode.
    """

    def __init__(self, mode: str, output: Path, jobs: int = 1) -> None:
        if mode not in MODES:
            raise ValueError(f"--audio must be one of {' '.join(MODES)}: '{mode}'")
        self.mode = mode
        self.output = output
        self.jobs = jobs
        self._known: dict[tuple[Path, str], str | None] = {}
        self._absolute: dict[Path, str] = {}

    def path(self, folder: Path, name: str) -> str:
        """Return what wav.scp says of a clip.

        Args:
            folder: Common Voice's folder of the language.
            name: File name of the clip.
        """
        # Called for every utterance of every set: no Path objects here.
        if self.mode == "convert":
            return f"{self.output}/{folder.name}/{stem(name)}.flac"
        if folder not in self._absolute:
            self._absolute[folder] = os.path.abspath(folder / "clips")
        return f"{self._absolute[folder]}/{name}"

    def faults(self, folder: Path, names: Iterable[str]) -> dict[str, str]:
        """Find the clips that cannot be used.

        Args:
            folder: Common Voice's folder of the language.
            names: File names of clips.

        Returns:
            Why, by file name.
        """
        names = list(names)
        new = [n for n in dict.fromkeys(names) if (folder, n) not in self._known]
        if new:
            logging.info(f"{folder}: {len(new)} clips ({self.mode})")
            if self.mode == "convert":
                (self.output / folder.name).mkdir(parents=True, exist_ok=True)
        shares = -(-len(new) // _SHARE)
        with ThreadPoolExecutor(self.jobs) as pool:
            done = pool.map(lambda share: self._faults(folder, share), _cut(new))
            for result in progress(done, shares, f"x {_SHARE} clips"):
                self._known.update(result)
        known = ((name, self._known[folder, name]) for name in names)
        return {name: fault for name, fault in known if fault is not None}

    def _faults(self, folder: Path, names: Sequence[str]) -> dict:
        return {(folder, name): self._fault(folder, name) for name in names}

    def _fault(self, folder: Path, name: str) -> str | None:
        path = folder / "clips" / name
        try:
            status = path.stat()
        except FileNotFoundError:
            return MISSING
        if status.st_size == 0:
            return EMPTY
        if self.mode == "check":
            return check(path)
        if self.mode == "convert":
            converted = Path(self.path(folder, name))
            # Written under another name first: one that is there is complete.
            if not (
                converted.exists() and converted.stat().st_mtime >= status.st_mtime
            ):
                return convert(path, converted)
        return None


def _cut(names: Sequence[str]) -> Iterator[list[str]]:
    """Cut a list into shares of ``_SHARE``."""
    rest = iter(names)
    while share := list(islice(rest, _SHARE)):
        yield share


def check(path: Path) -> str | None:
    """Return why a sound file cannot be used, else None; its header is read."""
    import soundfile

    try:
        frames = soundfile.info(path).frames
    except soundfile.SoundFileError:
        return UNDECODABLE
    return None if frames > 0 else EMPTY


def convert(path: Path, output: Path) -> str | None:
    """Write a sound file as FLAC of 16 kHz, 16 bits and one channel.

    Returns:
        Why it cannot be used, else None.
    """
    import numpy as np
    import soundfile
    import soxr

    try:
        wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.SoundFileError:
        return UNDECODABLE
    wave = soxr.resample(wave.mean(axis=1), rate, RATE)
    if len(wave) == 0:
        return EMPTY
    temporary = output.with_name(f".{output.name}.tmp{os.getpid()}")
    try:
        soundfile.write(
            temporary, np.clip(wave, -1.0, 1.0), RATE, format="FLAC", subtype="PCM_16"
        )
        os.replace(temporary, output)
    finally:
        temporary.unlink(missing_ok=True)
    return None
