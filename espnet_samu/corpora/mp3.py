"""MP3 files that are whole, which libsndfile decodes like FFmpeg and in less time.

libsndfile passes over damage, so a file is looked through first: its frames must follow
one another to its end, as many as it states, and each must have the data that it asks
for. Any other file is left to FFmpeg, whose errors are counted.

Reference: ISO/IEC 11172-3, 2.4.1 (syntax), and 13818-3, 2.4.1 (low sampling rates).
"""

from __future__ import annotations

import io
import os
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import soundfile

_LARGEST = 2**21  # bytes of a file; decoded, it has some 50 times as many
_CUT_OFF = 2 * (2**12 - 1)  # samples that a LAME tag may take off both ends
_KILOBITS = (
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
)
"""Bit rates of low sampling rates, and of MPEG-1."""
_HERTZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
"""Sampling rates by version: MPEG-1, MPEG-2 and MPEG-2.5."""
_MONO = 0b11000000  # bits of a header's last byte
_MOST_PAIRS = 288  # of 576 values


def _frame_sizes() -> dict[bytes, dict[bytes, int]]:
    """Return the bytes of a frame of layer III by its first three bytes.

    Returns:
        By the first three bytes of one frame, the sizes of those that may follow it.
    """
    sizes: dict[bytes, dict[bytes, int]] = {}
    for version, plain, hertz in product(_HERTZ, (0, 1), range(3)):
        alike: dict[bytes, int] = {}
        for bits, padding, private in product(range(1, 15), (0, 1), (0, 1)):
            rate = 1000 * _KILOBITS[version == 3][bits]
            size = (144 if version == 3 else 72) * rate // _HERTZ[version][hertz]
            first = 0xE0 | version << 3 | 0b10 | plain
            second = bits << 4 | hertz << 2 | padding << 1 | private
            alike[bytes([0xFF, first, second])] = size + padding
        sizes |= dict.fromkeys(alike, alike)
    return sizes


_SIZES = _frame_sizes()


class _Kind(NamedTuple):
    """What all frames of a file have in common."""

    mpeg1: bool
    channels: int
    checksum: bool

    @property
    def samples(self) -> int:
        """Samples of a frame."""
        return 1152 if self.mpeg1 else 576

    @property
    def side(self) -> slice:
        """Bytes of a frame that say how its data is laid out."""
        size = (17, 32) if self.mpeg1 else (9, 17)
        start = 6 if self.checksum else 4
        return slice(start, start + size[self.channels - 1])


class Mp3(NamedTuple):
    """What the frames of an MP3 file say."""

    samples: int
    """Of a channel, with those that a decoder takes off both ends."""
    stated: bool
    """Whether the file states their number, and what is taken off."""


def open_mp3(
    source: str | os.PathLike[str] | bytes,
) -> tuple[soundfile.SoundFile, int] | None:
    """Open an MP3 file that is whole.

    Args:
        source: Any file, or what is in one.

    Returns:
        The file, and the samples of a channel that it has at least; None: it is
        something else, is damaged, or libsndfile cannot read all of it.
    """
    import soundfile

    try:
        content: bytes | None
        opened: str | os.PathLike[str] | io.BytesIO
        if isinstance(source, bytes):
            content, opened = source, io.BytesIO(source)
        else:
            content, opened = _read(source), source
        found = None
        if content is not None and len(content) <= _LARGEST:
            found = look_through(content)
        if found is None:
            return None
        file = soundfile.SoundFile(opened)
    except (OSError, soundfile.SoundFileError):
        return None
    # Where no number is stated libsndfile reads at most what it estimates.
    least = found.samples - _CUT_OFF if found.stated else found.samples
    if file.format == "MP3" and file.frames >= least:
        return file, least
    file.close()
    return None


def _read(path: str | os.PathLike[str]) -> bytes | None:
    """Read a file that begins as an MP3 file and is not too large."""
    with open(path, "rb") as f:
        start = f.read(3)
        if start != b"ID3" and start not in _SIZES:
            return None
        if os.fstat(f.fileno()).st_size > _LARGEST:
            return None
        return start + f.read()


def look_through(content: bytes) -> Mp3 | None:
    """Look through the frames of an MP3 file.

    Args:
        content: The file.

    Returns:
        What they say; None: the file is not whole, or not laid out plainly.
    """
    start, end = 0, len(content)
    if content[:3] == b"ID3" and end > 10:
        a, b, c, d = content[6:10]
        start = 10 + (a << 21 | b << 14 | c << 7 | d) + (content[5] & 0x10 and 10)
    if content[-128:-125] == b"TAG":
        end -= 128
    first = content[start : start + 4]
    places, position, get_size = [], start, _SIZES.get(first[:3], {}).get
    while size := get_size(content[position : position + 3]):
        places.append(position)
        position += size
    if position != end or not places:
        return None
    channels = 1 if first[3] & _MONO == _MONO else 2
    kind = _Kind(first[1] & 0b11000 == 0b11000, channels, not first[1] & 1)
    tag = content[start + kind.side.stop :][:12]
    if stated := tag[:4] in (b"Xing", b"Info"):
        places = places[1:]  # that frame has no sound
        number = int.from_bytes(tag[8:], "big") if len(tag) == 12 and tag[7] & 1 else 0
        if not len(places) <= number <= len(places) + 1:
            return None
    # 32 bits from any byte on.
    words = np.ndarray((end - 3,), ">u4", content, strides=(1,))
    if not places or not _have_data(words, np.array([*places, end]), kind):
        return None
    return Mp3(len(places) * kind.samples, stated)


@cache
def _numbers(kind: _Kind) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where the numbers of a frame are.

    A frame's data is laid out in two granules, of low sampling rates in one, each of
    one channel or two.

    Returns:
        Of each number: the byte of the frame from which on 32 bits hold it, how far
        they are moved to the right, and the bits that are left. The numbers are: mode;
        bytes of data that earlier frames hold; of each part, its length and pairs;
        of each part, its window.
    """
    width, first, size, window = (9, 18, 59, 33) if kind.mpeg1 else (8, 9, 63, 38)
    first += 0 if kind.channels == 1 else 2 if kind.mpeg1 else 1
    n = kind.channels * (2 if kind.mpeg1 else 1)
    parts = first + size * np.arange(n)
    side = np.concatenate([[0], parts, parts + window])
    bits = np.concatenate([[24], 8 * kind.side.start + side])
    widths = np.array([8, width, *[21] * n, *[3] * n])
    return bits // 8, 32 - widths - bits % 8, (1 << widths) - 1


def _have_data(words: np.ndarray, edges: np.ndarray, kind: _Kind) -> bool:
    """Return whether all frames are of a kind and have the data that they ask for.

    A frame's data begins in what frames before it have left over.

    Args:
        words: 32 bits from each byte of the file on.
        edges: Byte at which each frame begins, and end of the last.
        kind: Of the frames.
    """
    offsets, shifts, masks = _numbers(kind)
    found = words[edges[:-1, np.newaxis] + offsets].astype(np.int64) >> shifts & masks
    middle = len(offsets) // 2 + 1
    modes, held = found[:, 0], found[:, 1]
    lengths, windows = found[:, 2:middle], found[:, middle:]
    asked, pairs = (lengths >> 9).sum(axis=1), lengths & 0b111111111
    data = 8 * (np.diff(edges) - kind.side.stop)
    have = np.cumsum(data)
    begin = have - data - 8 * held
    ends = begin + asked
    return bool(
        ((modes & _MONO == _MONO) == (kind.channels == 1)).all()
        and data.min() >= 0
        and pairs.max() <= _MOST_PAIRS
        and (windows != 0b100).all()  # which does not exist
        and begin[0] >= 0
        and (begin[1:] >= ends[:-1]).all()
        and (ends <= have).all()
    )
