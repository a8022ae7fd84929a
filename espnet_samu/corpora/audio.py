"""Recordings: decoded to their end, checked, and kept as 16 kHz FLAC of one channel.

ESPnet's stage 3 reads sound files with libsndfile, which believes the length that a
header states: of an mp3 of variable bit rate without a frame count, of joined files and
of a FLAC that was written to a pipe it returns a part, or nothing. So every recording
is decoded here, once for all sets, by FFmpeg's libraries, unless it is an mp3 that was
seen to be whole: libsndfile is faster.
"""

from __future__ import annotations

import errno
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from espnet_samu.corpora.mp3 import open_mp3
from espnet_samu.utils.safe_reading import is_pointer
from espnet_samu.utils.waveform import SAMPLING_RATE

if TYPE_CHECKING:
    import av

SHORTEST = 400  # samples at 16 kHz: one window of 25 ms, less than which gives no frame
OVERHANG = 0.1  # seconds that a rounded end may be beyond the audio

MISSING = "missing audio"
EMPTY = "zero-length audio"
UNDECODABLE = "undecodable audio"
CUT = "cut audio"
NOT_FINITE = "audio with NaN or infinite samples"
LOUD = "audio beyond [-1, 1]"
SILENT = "silent audio"
SHORT = "audio shorter than one frame"
OUTSIDE = "times outside the audio"

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
_MISSED = 0.1  # seconds missing at the end that are not reported
_UNKNOWN = 0x7FFF0000  # bytes that a WAV written to a pipe states, or more
_BLOCK = 1 << 15  # samples that are looked at at a time: they stay in the cache


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


class Clip(NamedTuple):
    """A sound file in memory."""

    content: bytes
    path: Path
    """Where it is written if FFmpeg is to decode it; removed then."""


Source = str | os.PathLike[str] | Clip


def decode(source: Source) -> Iterator[tuple[int, np.ndarray]]:
    """Decode a recording to its end, whatever its header says of its length.

    Args:
        source: Sound file.

    Yields:
        Sampling rate in Hz, samples (channels, N) of the next frame as decoded.

    Raises:
        AudioFault: It cannot be decoded, or is not whole.
    """
    if isinstance(source, Clip):
        mp3 = open_mp3(source.content)
        if mp3 is None:
            try:
                source.path.write_bytes(source.content)
                yield from decode(source.path)
            finally:
                source.path.unlink(missing_ok=True)
            return
    else:
        if is_pointer(source):
            why = "only a pointer of git-lfs; run: git lfs pull"
            raise AudioFault(UNDECODABLE, why)
        mp3 = open_mp3(source)
        if mp3 is None:
            yield from _decode_by_ffmpeg(source)
            return
    file, least = mp3
    with file:
        # At once: soundfile seeks behind each block, which mpg123 decodes twice then.
        samples = file.read(dtype="float32", always_2d=True).T
    for start in range(0, samples.shape[1], _BLOCK):
        yield file.samplerate, samples[:, start : start + _BLOCK]
    if samples.shape[1] < least:
        raise AudioFault(CUT, f"{samples.shape[1]} of {least} samples are there")


def _decode_by_ffmpeg(path: str | os.PathLike[str]) -> Iterator[tuple[int, np.ndarray]]:
    """Decode a recording; see :func:`decode`."""
    import av
    from av.audio.frame import format_dtypes

    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
    decoded, longest, rate = 0, 0, SAMPLING_RATE
    packets, errors, first = 0, 0, None
    stated, ends_early, lenient = None, False, False
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
                    yield rate, _samples(frame, format_dtypes)
    except AudioFault:
        raise
    except (av.FFmpegError, OSError, ValueError) as e:
        if not ends_early:  # whether FFmpeg minds that depends on its version
            reason = getattr(e, "strerror", None) or type(e).__name__
            if getattr(e, "errno", None) == errno.EINVAL:  # not in _FORMATS
                reason = "no sound file of a known format; raw samples need a header"
            raise AudioFault(UNDECODABLE, reason) from None
    if not decoded and not ends_early:
        raise AudioFault(UNDECODABLE if errors or not known_rate else EMPTY)
    seconds = decoded / (rate or SAMPLING_RATE)
    if lenient and first is not None and (count := _frame_count(path, first)):
        stated = count * longest / rate
    if stated is not None and seconds < stated - _MISSED:
        raise AudioFault(CUT, f"{seconds:.2f} s of {stated:.2f} s are there")
    if ends_early:
        raise AudioFault(CUT, f"the file ends early; {seconds:.2f} s are there")
    if errors > (packets / 10 if lenient else 0):
        raise AudioFault(UNDECODABLE, f"{errors} of {packets} packets are damaged")


def _samples(frame: av.AudioFrame, kinds: Mapping[str, str]) -> np.ndarray:
    """Return the samples (channels, N) of a frame, whose formats have numpy's names."""
    channels = frame.layout.nb_channels
    if channels == 1:  # av joins planes, which takes as long as decoding
        kind = kinds[frame.format.name]
        return np.frombuffer(frame.planes[0], kind, frame.samples)[np.newaxis]
    samples: np.ndarray = frame.to_ndarray()
    if frame.format.is_packed:
        samples = samples.reshape(-1, channels).T
    return samples


def _mono(frames: list[np.ndarray]) -> np.ndarray:
    """Return the mean of the channels (N,) of joined frames, float32 in [-1, 1]."""
    samples = frames[0] if len(frames) == 1 else np.concatenate(frames, axis=1)
    if len(samples) == 1 and samples.dtype == np.float32:
        return samples[0]
    if samples.dtype == np.uint8:
        samples = (samples.astype(np.float32) - 128) / 128
    elif samples.dtype.kind == "i":
        samples = samples * np.float32(1 / -float(np.iinfo(samples.dtype.type).min))
    with np.errstate(over="ignore", invalid="ignore"):  # found by speech()
        if len(samples) == 1:
            return samples[0].astype(np.float32, copy=False)
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
    """Return whether a WAV or Ogg file ends before its own chunk or last page does."""
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


def speech(source: Source) -> Iterator[np.ndarray]:
    """Read a recording as speech encoders want it.

    Args:
        source: Sound file.

    Yields:
        Blocks (N,) at 16 kHz, one channel, int16.

    Raises:
        AudioFault: It cannot be used; perhaps only after its last block.
    """
    import soxr

    total, lowest, highest = 0, math.inf, -math.inf
    first_rate, resample = None, None
    for rate, block in _blocks(decode(source)):
        if rate not in _RATES:
            raise AudioFault(UNDECODABLE, f"a sampling rate of {rate} Hz")
        if first_rate is None:
            first_rate = rate
            if rate != SAMPLING_RATE:
                resample = soxr.ResampleStream(rate, SAMPLING_RATE, 1)
        elif rate != first_rate:
            raise AudioFault(UNDECODABLE, "its sampling rate changes")
        if resample is not None:
            # A sample that is not finite makes those around it so.
            block = resample.resample_chunk(block, last=len(block) == 0)
        if len(block):
            lowest = min(lowest, low := float(block.min()))
            highest = max(highest, high := float(block.max()))
            peak = max(-low, high)
            if not math.isfinite(peak):
                raise AudioFault(NOT_FINITE)
            if peak > _LOUDEST:
                why = f"up to {peak:.0f}; divide 16-bit samples by 32768"
                raise AudioFault(LOUD, why)
            total += len(block)
            yield _in_16_bits(block)
    if total < SHORTEST:
        raise AudioFault(SHORT, f"{total} samples at 16 kHz, {SHORTEST} are needed")
    ends = _in_16_bits(np.array([lowest, highest], np.float32))
    if ends[0] == ends[1]:
        raise AudioFault(SILENT)


def read_speech(path: str | os.PathLike[str]) -> np.ndarray:
    """Return a recording as ``Speech2Text`` and ``Speech2Embedding`` take it.

    Args:
        path: Sound file of any format that FFmpeg's libraries read, any rate and any
            number of channels, which are averaged.

    Returns:
        Waveform (N,) at 16 kHz, float32 in [-1, 1].

    Raises:
        ValueError: It cannot be used; says which and why.
    """
    try:
        samples = np.concatenate([*speech(path)])
    except AudioFault as fault:
        raise ValueError(f"{path}: {fault}") from None
    return samples.astype(np.float32) / 32768


def _in_16_bits(samples: np.ndarray) -> np.ndarray:
    """Return float32 as int16; samples that were of 16 bits are what they were."""
    samples = np.rint(samples * np.float32(32768))
    return samples.clip(-32768, 32767, out=samples).astype(np.int16)


def _blocks(frames: Iterable[tuple[int, np.ndarray]]) -> Iterator:
    """Join frames of one kind to blocks of one channel; an empty one marks the end."""
    waiting: list[np.ndarray] = []
    samples, rate, kind = 0, SAMPLING_RATE, None
    for new_rate, frame in frames:
        new_kind = new_rate, frame.dtype, len(frame)
        if waiting and (new_kind != kind or samples >= _BLOCK):
            yield rate, _mono(waiting)
            waiting, samples = [], 0
        waiting.append(frame)
        samples += frame.shape[1]
        rate, kind = new_rate, new_kind
    if waiting:
        yield rate, _mono(waiting)
        yield rate, np.zeros(0, np.float32)


def outside(start: float, end: float, seconds: float) -> AudioFault | None:
    """Return why a piece of a recording is not there, else None.

    Args:
        start: In seconds.
        end: In seconds.
        seconds: Length of the recording.
    """
    detail = None
    if start >= seconds:
        detail = f"start {start:g} is beyond the end of the audio, {seconds:.2f} s"
    elif end > seconds + OVERHANG:
        detail = f"end {end:g} is beyond the end of the audio, {seconds:.2f} s"
    elif (min(end, seconds) - start) * SAMPLING_RATE < SHORTEST:
        detail = f"{start:g} to {end:g} is less than {SHORTEST} samples at 16 kHz"
    if detail is None:
        return None
    if end / 1000 <= seconds + OVERHANG < end:
        detail += "; milliseconds?"
    return AudioFault(OUTSIDE, detail)
