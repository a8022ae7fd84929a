"""Where recordings are kept as 16 kHz FLAC of one channel, each decoded once."""

from __future__ import annotations

import logging
import os
import re
import stat
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from espnet_samu.corpora.audio import EMPTY, MISSING, AudioFault, Source, speech
from espnet_samu.corpora.data_dir import SAFE_PATH, stem
from espnet_samu.utils.atomic import check_room, remove_stale, temporary_name
from espnet_samu.utils.command import progress
from espnet_samu.utils.waveform import SAMPLING_RATE

MODES = ("convert", "stat")
_WRITTEN = 1 << 19  # samples that are written at a time
_AHEAD = 16  # recordings of each thread between the last one noted and the next one
_KNOWN = "known.1.tsv"  # 2 where the checks of audio change: all is looked at again

# Size, time of change (ns), samples and path or, of a fault, -1, reason and detail.
_Entry = tuple[int, int, int, str, str]
_NEW: _Entry = (0, 0, 0, "", "")


class Recording(NamedTuple):
    """A recording that can be used."""

    path: str
    """What wav.scp says."""
    samples: int | None
    """Its length at 16 kHz; None: not looked at."""

    @property
    def seconds(self) -> float | None:
        """Its length."""
        return None if self.samples is None else self.samples / SAMPLING_RATE


# What a recording is, and its line of the table.
Look = tuple[Recording | AudioFault, _Entry]


def convert(source: Source, output: Path | None) -> int:
    """Write a recording as FLAC of 16 kHz, 16 bits and one channel.

    Args:
        source: Sound file.
        output: Written whole or not at all; None: only checked.

    Returns:
        Number of samples.

    Raises:
        AudioFault: It cannot be used.
    """
    import soundfile

    if output is None:
        return sum(map(len, speech(source)))
    temporary = temporary_name(output)
    try:
        with soundfile.SoundFile(
            temporary, "w", SAMPLING_RATE, 1, subtype="PCM_16", format="FLAC"
        ) as file:
            # Else close() waits for the disk, a tenth of the time and more.
            file.flush = lambda: None
            for block in _joined(speech(source)):
                file.write(block)
            samples = file.frames
        os.replace(temporary, output)
    except Exception as error:
        check_room(output.parent, error)
        raise
    finally:
        temporary.unlink(missing_ok=True)
    return samples


def _joined(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Join blocks: soundfile seeks before and behind all that it writes."""
    waiting: list[np.ndarray] = []
    samples = 0
    for block in blocks:
        waiting.append(block)
        samples += len(block)
        if samples >= _WRITTEN:
            yield np.concatenate(waiting)
            waiting, samples = [], 0
    if waiting:
        yield np.concatenate(waiting)


def stated_samples(path: str) -> int | None:
    """Return the samples that a FLAC states which could stay where it is, else None."""
    import soundfile

    if not (path.endswith(".flac") and SAFE_PATH.fullmatch(path)):
        return None
    try:
        info = soundfile.info(path)
    except soundfile.SoundFileError:
        return None
    kind = (info.format, info.subtype, info.samplerate, info.channels)
    return info.frames if kind == ("FLAC", "PCM_16", SAMPLING_RATE, 1) else None


class AudioStore:
    """Recordings in the form that ESPnet's stage 3 need not convert.

    A table in the folder remembers what was found, by path, size and time: a recording
    is opened once for all sets, scenarios and runs.

    Args:
        folder: Of what is written.
        mode: ``convert``: decoded, checked, and written as 16 kHz FLAC; ``stat``: only
            its size is looked at, and sets name it as it is.
        jobs: Threads.
    """

    _keeps = True
    """Whether 16 kHz FLAC of one channel stays where it is."""

    def __init__(self, folder: Path, mode: str = "convert", jobs: int = 1) -> None:
        self.folder = folder
        self.mode = mode
        self.jobs = jobs
        self._known: dict[str, _Entry] | None = None
        self._place = str(folder)

    def output(self, path: str) -> Path:
        """Return where a recording is written."""
        name = re.sub(r"[^\w.-]", "_", os.path.basename(path).rpartition(".")[0])
        key = blake2b(os.fsencode(path), digest_size=6).hexdigest()
        return self.folder / f"{name[:40]}-{key}.flac"

    def add(self, paths: Iterable[str]) -> dict[str, Recording | AudioFault]:
        """Return what recordings are, after decoding the new ones in threads.

        Args:
            paths: Sound files, absolute.

        Returns:
            What each of them is.
        """
        found: dict[str, Recording | AudioFault] = {}
        if self.mode == "stat":
            for path in paths:
                if path not in found:
                    found[path] = self._stat(path)
            return found
        paths = list(dict.fromkeys(paths))
        if self._known is None:
            self._known = self._read()
        known, there = self._known, self._list()
        for path in paths:
            result = self._recall(path, known.get(path, _NEW), there)
            if result is not None:
                found[path] = result
        new = [path for path in paths if path not in found]
        if new:
            logging.info(f"{len(new)} of {len(paths)} recordings are decoded")
            self.folder.mkdir(parents=True, exist_ok=True)
            remove_stale(self.folder)
        with self._table("a" if new else "r") as f:
            done = progress(self._look_at_all(new), len(new), "recordings")
            for path, (result, entry) in zip(new, done):
                found[path] = result
                known[path] = entry
                # Other processes may add lines, too: each is written in one piece.
                f.write("\t".join(map(str, (path, *entry))) + "\n")
        return found

    def _look_at_all(self, paths: Iterable[str]) -> Iterator[Look]:
        """Decode recordings in threads; few are ahead of what is noted."""
        if self.jobs == 1:  # a thread beside this one would take its share of the core
            yield from (look() for look in self._looks(paths))
            return
        waiting: deque[Future] = deque()
        with ThreadPoolExecutor(self.jobs) as pool:
            for look in self._looks(paths):
                waiting.append(pool.submit(look))
                if len(waiting) == _AHEAD * self.jobs:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _looks(self, paths: Iterable[str]) -> Iterator[Callable[[], Look]]:
        """Yield what a thread does about each recording."""
        return (partial(self._look, path) for path in paths)

    def _table(self, mode: str) -> IO[str]:
        path = self.folder / _KNOWN
        if mode == "r" and not path.exists():
            path = Path(os.devnull)
        text = {"encoding": "utf-8", "errors": "surrogateescape", "newline": "\n"}
        return path.open(mode, buffering=1, **text)

    def _stat(self, path: str) -> Recording | AudioFault:
        status = self._status(path)
        return status if isinstance(status, AudioFault) else Recording(path, None)

    def _status(self, path: str) -> tuple[int, int] | AudioFault:
        """Return size and time of change (ns) of a file that has something in it."""
        try:
            status = os.stat(path)
        except (OSError, ValueError):
            return AudioFault(MISSING)
        if not stat.S_ISREG(status.st_mode):
            return AudioFault(MISSING, "it is no file")
        key = status.st_size, status.st_mtime_ns
        return key if status.st_size else AudioFault(EMPTY)

    def _read(self) -> dict[str, _Entry]:
        """Read the table; its last line may be half written, and lines repeated.

        The FLAC of a recording may have been replaced by that of another copy of the
        corpus, in a later line: the recording is not known then.
        """
        known: dict[str, _Entry] = {}
        sources: dict[str, str] = {}
        with self._table("r") as table:
            for line in table:
                path, *entry = line.rstrip("\n").split("\t")
                if line.endswith("\n") and len(entry) == 5:
                    size, time, samples = map(int, entry[:3])
                    if samples >= 0 and sources.setdefault(entry[3], path) != path:
                        known.pop(sources[entry[3]], None)
                        sources[entry[3]] = path
                    known[path] = (size, time, samples, entry[3], entry[4])
        return known

    def _list(self) -> set[str]:
        """Return what is in the folder: faster than to look for each recording."""
        try:
            return set(os.listdir(self.folder))
        except FileNotFoundError:
            return set()

    def _recall(
        self, path: str, entry: _Entry, there: Container[str]
    ) -> Recording | AudioFault | None:
        """Return what the table says of a recording that has not changed since.

        Args:
            path: Of the recording.
            entry: Of the table.
            there: Names of the files in the folder.
        """
        status = self._status(path)
        if isinstance(status, AudioFault):
            return status
        size, time, samples, text, detail = entry
        if (size, time) != status:
            return None
        if samples < 0:
            return AudioFault(text, detail)
        folder, _, name = text.rpartition("/")
        is_there = name in there if folder == self._place else os.path.exists(text)
        return Recording(text, samples) if is_there else None

    def _look(self, path: str) -> Look:
        """Decode a recording; return what it is, and its line of the table."""
        status = os.stat(path)
        key = (status.st_size, status.st_mtime_ns)
        try:
            stated = stated_samples(path) if self._keeps else None
            if stated is not None and convert(path, None) == stated:
                kept, samples = path, stated
            else:
                output = self.output(path)
                kept, samples = str(output), convert(path, output)
        except AudioFault as fault:
            return fault, (*key, -1, fault.reason, fault.detail)
        return Recording(kept, samples), (*key, samples, kept, "")


class ClipStore(AudioStore):
    """Recordings whose file names are unique: what is written is called as they are."""

    _keeps = False

    def output(self, path: str) -> Path:
        """Return where a recording is written."""
        return self.folder / f"{stem(os.path.basename(path))}.flac"
