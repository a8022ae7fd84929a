"""Recordings: decoded to their end, checked, and kept as 16 kHz FLAC of one channel.

ESPnet's stage 3 reads sound files with libsndfile, which believes the length that a
header states: of an mp3 of variable bit rate without a frame count, of joined files and
of a FLAC that was written to a pipe it returns a part, or nothing. So every recording
is decoded here, once for all sets, by FFmpeg's libraries.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from itertools import batched, chain
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from espnet_samu.data.data_dir import SAFE_PATH
from espnet_samu.utils.atomic import remove_stale, temporary_name
from espnet_samu.utils.command import progress

if TYPE_CHECKING:
    import av

RATE = 16_000  # samples/s
SHORTEST = 400  # samples at 16 kHz: one window of 25 ms, less than which gives no frame
MODES = ("convert", "stat")

MISSING = "missing audio"
EMPTY = "zero-length audio"
UNDECODABLE = "undecodable audio"
CUT = "cut audio"
NOT_FINITE = "audio with NaN or infinite samples"
LOUD = "audio beyond [-1, 1]"
SILENT = "silent audio"
SHORT = "audio shorter than one frame"

_FORMATS = (
    "aac,aiff,amr,asf,au,caf,flac,matroska,mov,mp3,mpegts,nistsphere,ogg,voc,w64,wav,wv"
)
"""FFmpeg's names of what is opened: no play list, which could name other files."""
_LENIENT = ("aac", "mp3")
"""Formats without a container: tags between their frames are no damage."""
_STATING = ("flac", "matroska", "mov", "ogg")
"""Formats that state a length; that of others is an estimate by their bit rate."""
_LOUDEST = 8.0  # decoders of lossy formats go a little beyond 1.0
_RATES = range(1000, 768_001)  # Hz
_MISSED = 0.1  # seconds at the end that are not worth a word
_UNKNOWN = 0x7FFF0000  # bytes that a WAV written to a pipe states, or more
_BLOCK = 1 << 16  # samples that are resampled and written at a time
_SHARE = 256  # recordings that a thread takes at a time
_KNOWN = "known.1.tsv"  # another number after a change of what is found


class AudioFault(ValueError):
    """Why a recording cannot be used.

    Args:
        reason: Its kind, to count by.
        detail: What is known beyond that.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason} ({detail})" if detail else reason)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that can be used.

    Attributes:
        path: What wav.scp says.
        samples: Its length at 16 kHz; None: not looked at.
    """

    path: str
    samples: int | None

    @property
    def seconds(self) -> float | None:
        """Its length."""
        return None if self.samples is None else self.samples / RATE


def decode(path: str | os.PathLike[str]) -> Iterator[tuple[int, np.ndarray]]:
    """Decode a recording to its end, whatever its header says of its length.

    Args:
        path: Sound file.

    Yields:
        Sampling rate in Hz, mean of the channels (N,) of the next frame, float32.

    Raises:
        AudioFault: It cannot be decoded, or is not whole.
    """
    import av

    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
    decoded, longest, rate = 0, 0, RATE
    packets, errors, first = 0, 0, None
    stated, ends_early = None, False
    try:
        ends_early = _ends_early(path)
        with av.open(os.path.abspath(path), options=options) as container:
            if not container.streams.audio:
                raise AudioFault(UNDECODABLE, "it holds no audio")
            stream = container.streams.audio[0]
            lenient = container.format.name in _LENIENT
            if stream.codec_context is None:
                raise AudioFault(UNDECODABLE, "its codec is not known")
            known_rate = bool(stream.codec_context.sample_rate)
            if container.format.name.startswith(_STATING):
                if stream.duration:
                    stated = float(stream.duration * stream.time_base)
                elif container.duration and len(container.streams) == 1:
                    stated = container.duration / 1e6  # microseconds
            for packet in container.demux(stream):
                packets += 1
                first = packet.pos if first is None else first
                try:
                    frames = packet.decode()
                except av.FFmpegError:
                    errors += 1
                    continue
                for frame in frames:
                    decoded += frame.samples
                    longest = max(longest, frame.samples)
                    rate = frame.sample_rate
                    yield rate, _mono(frame)
    except AudioFault:
        raise
    except (av.FFmpegError, OSError, ValueError) as e:
        reason = getattr(e, "strerror", None) or type(e).__name__
        raise AudioFault(CUT if ends_early else UNDECODABLE, reason) from None
    if not decoded and not ends_early:
        raise AudioFault(UNDECODABLE if errors or not known_rate else EMPTY)
    seconds = decoded / (rate or RATE)
    if lenient and first is not None and (count := _frame_count(path, first)):
        stated = count * longest / rate
    if stated is not None and seconds < stated - _MISSED:
        raise AudioFault(CUT, f"{seconds:.2f} s of {stated:.2f} s are there")
    if ends_early:
        raise AudioFault(CUT, f"the file ends early; {seconds:.2f} s are there")
    if errors > (packets / 10 if lenient else 0):
        raise AudioFault(UNDECODABLE, f"{errors} of {packets} packets are damaged")


def _mono(frame: av.AudioFrame) -> np.ndarray:
    """Return the mean of the channels (N,) of a frame, float32 in [-1, 1]."""
    samples = frame.to_ndarray()
    if frame.format.is_packed:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype == np.uint8:
        samples = (samples.astype(np.float32) - 128) / 128
    elif samples.dtype.kind == "i":
        samples = samples * np.float32(1 / -float(np.iinfo(samples.dtype).min))
    with np.errstate(over="ignore", invalid="ignore"):  # found by speech()
        if len(samples) == 1:
            return samples[0].astype(np.float32)
        return samples.mean(axis=0, dtype=np.float32)


def _frame_count(path: str | os.PathLike[str], first: int) -> int | None:
    """Return the number of frames that an mp3 states, less what decoders cut off.

    Args:
        path: The file.
        first: Byte at which its first frame of sound begins. The one before may hold a
            Xing header: ``Xing`` or ``Info``, flags, number of frames.
    """
    with open(path, "rb") as f:
        f.seek(max(0, first - 1500))
        head = f.read(min(first, 1500))
    for found in re.finditer(b"Xing|Info", head):
        i = found.start()
        # Behind a frame's header and side information, by MPEG version and channels.
        starts = (i - n for n in (36, 21, 13) if n <= i)
        if any(head[s] == 0xFF and head[s + 1] >= 0xE0 for s in starts):
            if len(head) >= i + 12 and head[i + 7] & 1:
                return int.from_bytes(head[i + 8 : i + 12], "big") - 4
    return None


def _ends_early(path: str | os.PathLike[str]) -> bool:
    """Tell whether a WAV or Ogg file ends before its own chunk or last page does."""
    size = os.path.getsize(path)
    with open(path, "rb") as f:
        head = f.read(8)
        if head[:4] == b"RIFF":
            stated = int.from_bytes(head[4:], "little") + 8
            return size + 1000 < stated < _UNKNOWN  # some count a few bytes too many
        if head[:4] != b"OggS":
            return False
        f.seek(max(0, size - 65_307))  # the longest page
        tail = f.read()
    page = tail[tail.rfind(b"OggS") :]
    segments = page[26] if len(page) > 26 else 0
    return len(page) < 27 + segments + sum(page[27 : 27 + segments])


def speech(path: str | os.PathLike[str]) -> Iterator[np.ndarray]:
    """Read a recording as speech encoders want it.

    Args:
        path: Sound file.

    Yields:
        Blocks (N,) at 16 kHz, one channel, int16.

    Raises:
        AudioFault: It cannot be used; perhaps only after its last block.
    """
    import soxr

    total, lowest, highest = 0, 0, 0
    first_rate, resample = None, None
    for rate, block in _blocks(decode(path)):
        if rate not in _RATES:
            raise AudioFault(UNDECODABLE, f"a sampling rate of {rate} Hz")
        if first_rate is None:
            first_rate = rate
            if rate != RATE:
                resample = soxr.ResampleStream(rate, RATE, 1)
        elif rate != first_rate:
            raise AudioFault(UNDECODABLE, "its sampling rate changes")
        if not np.isfinite(block).all():
            raise AudioFault(NOT_FINITE)
        peak = float(np.abs(block).max(initial=0))
        if peak > _LOUDEST:
            raise AudioFault(LOUD, f"up to {peak:.0f}; divide 16-bit samples by 32768")
        if resample is not None:
            block = resample.resample_chunk(block, last=len(block) == 0)
        if len(block):
            # 16-bit samples at 16 kHz stay exactly what they were.
            block = np.rint(block * 32768).clip(-32768, 32767).astype(np.int16)
            lowest = min(lowest, int(block.min())) if total else int(block.min())
            highest = max(highest, int(block.max())) if total else int(block.max())
            total += len(block)
            yield block
    if total < SHORTEST:
        raise AudioFault(SHORT, f"{total} samples at 16 kHz, {SHORTEST} are needed")
    if lowest == highest:
        raise AudioFault(SILENT)


def _blocks(frames: Iterable[tuple[int, np.ndarray]]) -> Iterator:
    """Join frames of one rate to blocks; an empty one says that it is the end."""
    waiting: list[np.ndarray] = []
    samples, rate = 0, RATE
    for new_rate, frame in frames:
        if waiting and (new_rate != rate or samples >= _BLOCK):
            yield rate, np.concatenate(waiting)
            waiting, samples = [], 0
        waiting.append(frame)
        samples += len(frame)
        rate = new_rate
    if waiting:
        yield rate, np.concatenate(waiting)
        yield rate, np.zeros(0, np.float32)


def convert(path: str | os.PathLike[str], output: Path | None) -> int:
    """Write a recording as FLAC of 16 kHz, 16 bits and one channel.

    Args:
        path: Sound file.
        output: Written whole or not at all; None: only checked.

    Returns:
        Number of samples.

    Raises:
        AudioFault: It cannot be used.
    """
    import soundfile

    if output is None:
        return sum(map(len, speech(path)))
    temporary = temporary_name(output)
    try:
        with soundfile.SoundFile(
            temporary, "w", RATE, 1, subtype="PCM_16", format="FLAC"
        ) as file:
            for block in speech(path):
                file.write(block)
            samples = file.frames
        os.replace(temporary, output)
    finally:
        temporary.unlink(missing_ok=True)
    return samples


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
    return info.frames if kind == ("FLAC", "PCM_16", RATE, 1) else None


def _status(path: str) -> os.stat_result | AudioFault:
    """Return the size and time of a file that has something in it."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return AudioFault(MISSING)
    if not stat.S_ISREG(status.st_mode):
        return AudioFault(MISSING, "it is no file")
    return status if status.st_size else AudioFault(EMPTY)


class AudioStore:
    """Recordings as what stage 3 takes as it is.

    A table in the folder remembers what was found, by path, size and time: a recording
    is opened once for all sets, scenarios and runs.

    Args:
        folder: Of what is written.
        mode: ``convert``: decoded, checked, and written as 16 kHz FLAC; ``stat``: only
            its size is looked at, and sets name it as it is.
        jobs: Threads.
        keep: Whether 16 kHz FLAC of one channel stays where it is.

    Raises:
        ValueError: No such mode.
    """

    def __init__(
        self, folder: Path, mode: str = "convert", jobs: int = 1, keep: bool = True
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"--audio must be one of {' '.join(MODES)}: '{mode}'")
        self.folder = folder
        self.mode = mode
        self.jobs = jobs
        self.keep = keep
        # path -> size, time (ns), and samples and path or reason and detail
        self._known: dict[str, tuple[int, int, int, str, str]] | None = None

    def output(self, path: str) -> Path:
        """Return where a recording is written."""
        stem = re.sub(r"[^\w.-]", "_", os.path.basename(path).rpartition(".")[0])
        name = blake2b(os.fsencode(path), digest_size=6).hexdigest()
        return self.folder / f"{stem[:40]}-{name}.flac"

    def add(self, paths: Iterable[str]) -> dict[str, Recording | AudioFault]:
        """Look at recordings, those that are new in threads.

        Args:
            paths: Sound files, absolute.

        Returns:
            What each of them is.
        """
        paths = list(dict.fromkeys(paths))
        if self.mode == "stat":
            return {path: self._stat(path) for path in paths}
        if self._known is None:
            self._known = self._read()
        found: dict[str, Recording | AudioFault] = {}
        for path in paths:
            known = self._recall(path)
            if known is not None:
                found[path] = known
        new = [path for path in paths if path not in found]
        if new:
            logging.info(f"{len(new)} of {len(paths)} recordings are decoded")
            self.folder.mkdir(parents=True, exist_ok=True)
            remove_stale(self.folder)
        with ThreadPoolExecutor(self.jobs) as pool, self._table(
            "a" if new else "r"
        ) as f:
            shares = pool.map(lambda s: [*map(self._look, s)], batched(new, _SHARE))
            done = progress(chain.from_iterable(shares), len(new), "recordings")
            for path, (result, entry) in zip(new, done):
                found[path] = result
                self._known[path] = entry
                # Other processes may add lines, too: each is written in one piece.
                f.write("\t".join(map(str, (path, *entry))) + "\n")
        return found

    def _table(self, mode: str) -> IO[str]:
        path = self.folder / _KNOWN
        if mode == "r" and not path.exists():
            path = Path(os.devnull)
        text = {"encoding": "utf-8", "errors": "surrogateescape", "newline": "\n"}
        return path.open(mode, buffering=1, **text)

    def _stat(self, path: str) -> Recording | AudioFault:
        status = _status(path)
        return status if isinstance(status, AudioFault) else Recording(path, None)

    def _read(self) -> dict[str, tuple[int, int, int, str, str]]:
        """Read the table; its last line may be half written, and lines repeated."""
        known = {}
        with self._table("r") as table:
            for line in table:
                path, *entry = line.rstrip("\n").split("\t")
                if line.endswith("\n") and len(entry) == 5:
                    size, time, samples = map(int, entry[:3])
                    known[path] = (size, time, samples, entry[3], entry[4])
        return known

    def _recall(self, path: str) -> Recording | AudioFault | None:
        """Return what is known of a recording that is as it was then."""
        status = _status(path)
        if isinstance(status, AudioFault):
            return status
        size, time, samples, text, detail = self._known.get(path, (0, 0, 0, "", ""))
        if (size, time) != (status.st_size, status.st_mtime_ns):
            return None
        if samples < 0:
            return AudioFault(text, detail)
        return Recording(text, samples) if os.path.exists(text) else None

    def _look(self, path: str) -> tuple[Recording | AudioFault, tuple]:
        """Decode a recording; return what it is, and its line of the table."""
        status = os.stat(path)
        key = (status.st_size, status.st_mtime_ns)
        try:
            stated = stated_samples(path) if self.keep else None
            if stated is not None and convert(path, None) == stated:
                result = Recording(path, stated)
            else:
                output = self.output(path)
                result = Recording(str(output), convert(path, output))
        except AudioFault as fault:
            return fault, (*key, -1, fault.reason, fault.detail)
        return result, (*key, result.samples, result.path, "")
