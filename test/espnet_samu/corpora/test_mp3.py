"""MP3 files that libsndfile decodes: as FFmpeg does, and none that is damaged."""

import io
import re

import av
import numpy as np
import pytest
import soundfile

from espnet_samu.corpora import audio
from espnet_samu.corpora.audio import AudioFault, decode
from espnet_samu.corpora.mp3 import look_through, open_mp3

SECONDS = 2


def encode(rate, channels, stated=True, bit_rate=None):
    """Return the bytes of an mp3; without a number of frames as FFmpeg pipes it."""
    rng = np.random.default_rng(0)
    wave = rng.normal(0, 0.1, (channels, SECONDS * rate)).astype(np.float32)
    wave[:, : rate // 2] *= 1e-3
    file = io.BytesIO()
    if bit_rate is None:
        options = {"bitrate_mode": "VARIABLE", "compression_level": 0.5}
        soundfile.write(file, wave.T, rate, format="MP3", **options)
        return file.getvalue()
    options = {} if stated else {"write_xing": "0", "id3v2_version": "0"}
    with av.open(file, "w", format="mp3", options=options) as container:
        layout = ("mono", "stereo")[channels - 1]
        stream = container.add_stream("libmp3lame", rate=rate, layout=layout)
        stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout=layout)
        frame.sample_rate = rate
        for encoder_input in (frame, None):
            container.mux(stream.encode(encoder_input))
    return file.getvalue()


def samples_of(frames):
    """Return rate and samples (channels, N) of what a decoder yields."""
    rates, blocks = zip(*frames)
    assert len({*rates}) == 1
    return rates[0], np.concatenate(blocks, axis=1)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [48_000, 44_100, 22_050, 8_000])
@pytest.mark.parametrize(
    "options",
    [{}, {"bit_rate": 64_000}, {"bit_rate": 64_000, "stated": False}],
    ids=["variable", "constant", "piped"],
)
def test_as_ffmpeg(tmp_path, monkeypatch, rate, channels, options):
    path = tmp_path / "a.mp3"
    path.write_bytes(encode(rate, channels, **options))
    expected_rate, expected = samples_of(audio._decode_by_ffmpeg(path))
    monkeypatch.setattr(audio, "_decode_by_ffmpeg", None)
    found_rate, found = samples_of(decode(path))
    assert (found_rate, found.shape) == (expected_rate, expected.shape)
    assert np.abs(found - expected).max() < 1e-5


@pytest.mark.parametrize("cut", [False, True], ids=["whole", "cut"])
def test_in_memory(tmp_path, cut):
    """A file in memory is what it is on the disk; one that is not whole goes there."""
    content = encode(16_000, 1, bit_rate=64_000)
    content = content[: len(content) // 2] if cut else content
    on_disk, written = tmp_path / "a.mp3", tmp_path / "b.mp3"
    on_disk.write_bytes(content)
    clip = audio.Clip(content, written)
    if cut:
        with pytest.raises(AudioFault) as expected:
            list(decode(on_disk))
        with pytest.raises(AudioFault, match=re.escape(str(expected.value))):
            list(decode(clip))
    else:
        frames = decode(clip)
        first = next(frames)
        assert not written.exists()
        found = samples_of([first, *frames])[1]
        assert np.array_equal(found, samples_of(decode(on_disk))[1])
    assert not written.exists()


def places_of(content):
    """Return where the frames of an mp3 of constant bit rate begin, after the first."""
    size = content.index(content[:3], 3)
    return range(size, len(content), size), size


def damage(content, rng, share, begin):
    """Return an mp3 with noise behind the first bytes of some frames."""
    changed = bytearray(content)
    places, size = places_of(content)
    for place in places:
        if rng.random() < share:
            changed[place + begin : place + size] = rng.bytes(size - begin)
    return bytes(changed)


PLAIN = encode(48_000, 1, stated=False, bit_rate=64_000)
FRAMES = len(range(0, len(PLAIN), 192))


def test_frames_are_counted():
    assert len(PLAIN) == FRAMES * 192  # 64 kbit/s: 192 bytes for 24 ms
    assert look_through(PLAIN) == (FRAMES * 1152, False)
    tagged = encode(48_000, 1, bit_rate=64_000)
    assert look_through(tagged) == (FRAMES * 1152, True)
    assert look_through(tagged + b"TAG" + bytes(125)) == (FRAMES * 1152, True)


@pytest.mark.parametrize(
    "change",
    [
        lambda m, rng: m[:-100],
        lambda m, rng: m + bytes(200),
        lambda m, rng: m[:5000] + m[5100:],
        lambda m, rng: m[192 * 30 :],
        lambda m, rng: m + encode(44_100, 1),
        lambda m, rng: m + encode(48_000, 2, stated=False, bit_rate=64_000),
        lambda m, rng: b"ID3\4\0\0\0\0\0\0" + m[192 * 30 :],
        lambda m, rng: encode(48_000, 1, bit_rate=64_000)[:-1920],
        lambda m, rng: damage(m, rng, 0.05, 4),
        lambda m, rng: damage(m, rng, 0.3, 4),
        lambda m, rng: b"",
        lambda m, rng: m[:2],
        lambda m, rng: m[:4],
    ],
    ids="cut padded hole no_begin two_rates two_channels no_begin_tagged "
    "fewer_than_stated noise much_noise nothing two_bytes header".split(),
)
def test_what_is_not_whole_is_left_to_ffmpeg(tmp_path, change):
    path = tmp_path / "a.mp3"
    path.write_bytes(change(PLAIN, np.random.default_rng(0)))
    assert open_mp3(path) is None


def test_damage_is_found(tmp_path):
    path = tmp_path / "a.mp3"
    path.write_bytes(damage(PLAIN, np.random.default_rng(0), 0.5, 4))
    with pytest.raises(AudioFault, match="undecodable audio .*packets are damaged"):
        samples_of(decode(path))


def test_a_tag_that_ends_early():
    """One frame of 26 bytes, 72 * 8000 / 22050, with five of them behind its header."""
    frame = b"\xff\xf3\x10\x00" + bytes(17) + b"Xing\0"
    assert len(frame) == 26 and look_through(frame) is None
