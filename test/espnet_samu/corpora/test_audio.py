"""Recordings as they come: all of them is kept, or they are refused by name."""

import io
import os
import signal
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from espnet_samu.corpora import audio, audio_store
from espnet_samu.corpora.audio import (
    CUT,
    EMPTY,
    LOUD,
    MISSING,
    NOT_FINITE,
    SHORT,
    SILENT,
    UNDECODABLE,
    AudioFault,
)
from espnet_samu.corpora.audio_store import AudioStore, Recording
from espnet_samu.corpora.data_dir import SAFE_PATH

RATE = 16_000
SECONDS = 3
# 1 s of next to nothing, 2 s of noise: of variable bit rate, an mp3 begins with small
# frames, from which a reader of headers estimates its length.
NOISE = np.random.default_rng(0).normal(0, 0.1, SECONDS * RATE).astype(np.float32)
NOISE[:RATE] *= 1e-3


def encode(wave=NOISE, rate=RATE, **options):
    """Return the bytes of a sound file."""
    file = io.BytesIO()
    soundfile.write(file, wave, rate, **options)
    return file.getvalue()


def encode_by_ffmpeg(name, codec, rate=RATE):
    """Return the bytes of a sound file that libsndfile does not write; two channels."""
    file = io.BytesIO()
    with av.open(file, "w", format=name) as container:
        stream = container.add_stream(codec, rate=rate, layout="stereo")
        wave = np.stack([NOISE, NOISE])
        frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="stereo")
        frame.sample_rate = RATE
        for encoder_input in (frame, None):
            container.mux(stream.encode(encoder_input))
    return file.getvalue()


def without_length(flac):
    """Return a FLAC file as an encoder writes it to a pipe."""
    content = bytearray(flac)
    content[21] &= 0xF0  # 36 bits of the stream's description
    content[22:26] = bytes(4)
    return bytes(content)


@pytest.fixture(scope="module")
def files():
    """Bytes of recordings in the formats that need care."""
    mp3 = encode(format="MP3", bitrate_mode="VARIABLE", compression_level=0.5)
    header = mp3.index(b"\xff", 4)
    assert b"Xing" in mp3[:header] or b"Info" in mp3[:header]
    return {
        "mp3": mp3,
        "mp3 to a pipe": mp3[header:],
        "flac": encode(format="FLAC"),
        "ogg": encode(format="OGG"),
        "wav": encode(format="WAV"),
        "m4a": encode_by_ffmpeg("mp4", "aac", 44_100),
        "webm": encode_by_ffmpeg("webm", "libopus", 48_000),
    }


def look(tmp_path, content, name="a.x"):
    """Write a file, and return what the store says of it."""
    (tmp_path / name).write_bytes(content)
    path = str(tmp_path / name)
    return AudioStore(tmp_path / "clips").add([path])[path]


@pytest.mark.parametrize(
    "make, seconds",
    [
        (lambda f: f["mp3 to a pipe"], SECONDS),
        (lambda f: f["mp3"] + f["mp3"], 2 * SECONDS),
        (lambda f: f["mp3 to a pipe"] * 2, 2 * SECONDS),
        (lambda f: f["mp3"] + b"TAG" + bytes(125), SECONDS),
        (lambda f: f["ogg"] * 2, 2 * SECONDS),
        (lambda f: without_length(f["flac"]), SECONDS),
        (lambda f: f["wav"][:4] + b"\xff" * 4 + f["wav"][8:], SECONDS),
        (lambda f: f["m4a"], SECONDS),
        (lambda f: f["webm"], SECONDS),
    ],
    ids="pipe_mp3 joined_mp3 joined_pipe_mp3 tagged_mp3 joined_ogg pipe_flac pipe_wav "
    "m4a webm".split(),
)
def test_all_of_a_recording_is_kept(tmp_path, files, make, seconds):
    found = look(tmp_path, make(files))
    # Lossy formats have some 50 ms of padding.
    assert found.seconds == pytest.approx(seconds, abs=0.2)
    wave, rate = soundfile.read(found.path)
    assert (rate, wave.shape) == (RATE, (found.samples,))
    # The noise is there to its end: 2 s of each 3.
    loud = np.convolve(wave**2, np.ones(160) / 160, "same") > 0.1**2 / 4
    assert loud.mean() == pytest.approx(2 / 3, abs=0.04)
    assert loud[-3200:].mean() > 0.5


@pytest.mark.parametrize("kind", ["mp3", "flac", "ogg", "wav", "m4a", "webm"])
@pytest.mark.parametrize("share", [0.4, 0.9])
def test_cut(tmp_path, files, kind, share):
    content = files[kind]
    found = look(tmp_path, content[: int(share * len(content))])
    # The table of contents of m4a is at its end.
    assert found.reason == (UNDECODABLE if kind == "m4a" else CUT)


def change(value, wave=NOISE):
    """Return a copy with another 100th sample."""
    wave = wave.copy()
    wave[100] = value
    return wave


def header(place, content):
    """Return a WAV file with other bytes in its header."""
    wav = bytearray(encode(format="WAV"))
    wav[place : place + len(content)] = content
    return bytes(wav)


FLOAT = {"format": "WAV", "subtype": "FLOAT"}
FAULTS = {
    "nan": (encode(change(np.nan), **FLOAT), NOT_FINITE),
    "inf": (encode(change(np.inf), **FLOAT), NOT_FINITE),
    "int16 range": (encode(NOISE * 32768, **FLOAT), LOUD),
    "huge": (
        encode(change(1e300, NOISE.astype("f8")), format="WAV", subtype="DOUBLE"),
        NOT_FINITE,
    ),
    "codec": (header(20, b"\x99\x99"), UNDECODABLE),
    "rate": (header(24, b"\x01\0\0\0"), UNDECODABLE),
    "silent": (encode(0 * NOISE, format="FLAC"), SILENT),
    "silent at 16 bits": (encode(1e-6 * NOISE, **FLOAT), SILENT),
    "constant": (encode(0 * NOISE + 0.25, **FLOAT), SILENT),
    "50 samples": (encode(NOISE[:50], format="WAV"), SHORT),
    "no sample": (encode(NOISE[:0], format="WAV"), EMPTY),
    "empty": (b"", EMPTY),
    "html": (b"<html>not here</html>" * 40, UNDECODABLE),
    "few bytes": (b"no audio", UNDECODABLE),
    "bytes": (np.random.default_rng(1).bytes(5000), UNDECODABLE),
    "play list": (b"#EXTM3U\n#EXTINF:3,\na.wav\n#EXT-X-ENDLIST\n", UNDECODABLE),
    "concatenation": (b"ffconcat version 1.0\nfile a.wav\n", UNDECODABLE),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults(tmp_path, name):
    content, reason = FAULTS[name]
    (tmp_path / "a.wav").write_bytes(encode(format="WAV"))
    found = look(tmp_path, content, "b.wav")
    assert isinstance(found, AudioFault) and found.reason == reason
    left = [p.name for p in (tmp_path / "clips").glob("*") if p.suffix != ".tsv"]
    assert left == []


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
@pytest.mark.parametrize("place", [0, 5_000, -1])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_resampling_does_not_hide_a_sample(tmp_path, rate, place, bad):
    wave = NOISE.copy()
    wave[place] = bad
    path = tmp_path / "a.wav"
    path.write_bytes(encode(wave, rate, format="WAV", subtype="FLOAT"))
    with pytest.raises(AudioFault, match=NOT_FINITE):
        list(audio.speech(path))


def test_damage(tmp_path, files):
    flac = bytearray(files["flac"])
    flac[30_000:30_100] = bytes(100)
    assert look(tmp_path, bytes(flac)).reason in (CUT, UNDECODABLE)


def test_what_is_no_file(tmp_path):
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "link.wav").symlink_to(tmp_path / "nothing")
    paths = [str(tmp_path / n) for n in ("folder.wav", "link.wav", "x" * 300)]
    for mode in ("convert", "stat"):
        found = AudioStore(tmp_path / "clips", mode).add([*paths, "/dev/zero"])
        assert {fault.reason for fault in found.values()} == {MISSING}


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "DOUBLE", "PCM_U8"])
def test_samples_are_those_of_the_file(tmp_path, subtype):
    found = look(tmp_path, encode(NOISE[-RATE:], format="WAV", subtype=subtype))
    wave, _ = soundfile.read(tmp_path / "a.x")
    # 16 bits are kept as they are, more of them rounded.
    assert np.array_equal(soundfile.read(found.path)[0], np.rint(wave * 32768) / 32768)


def test_channels_are_averaged_and_rates_changed(tmp_path):
    time = np.arange(44_100) / 44_100
    wave = np.stack([0.5 * np.sin(2 * np.pi * 440 * time), np.zeros(44_100)], axis=1)
    found = look(tmp_path, encode(wave, 44_100, format="FLAC"))
    assert found.samples == RATE
    converted, rate = soundfile.read(found.path)
    expected = 0.25 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    assert np.abs(converted - expected)[200:-200].max() < 1e-3


def test_read_speech(tmp_path):
    """As for stage 1: other rates and channels, and the name of what cannot be used."""
    wave = 0.5 * np.sin(np.arange(44100) * 2 * np.pi * 440 / 44100)
    path = tmp_path / "a b.wav"
    soundfile.write(path, np.stack([wave, 0 * wave], 1), 44100)
    speech = audio.read_speech(path)
    assert speech.dtype == np.float32 and speech.shape == (16000,)
    expected = 0.25 * np.sin(np.arange(16000) * 2 * np.pi * 440 / 16000)
    np.testing.assert_allclose(speech[2000:-2000], expected[2000:-2000], atol=0.01)
    soundfile.write(tmp_path / "short.wav", wave[:100], 44100)
    wave.astype(np.float32).tofile(tmp_path / "a.raw")
    faults = {
        "short.wav": "audio shorter",
        "no.wav": "undec",
        "a.raw": ".*need a header",
    }
    for name, why in faults.items():
        with pytest.raises(ValueError, match=f"{name}: {why}"):
            audio.read_speech(tmp_path / name)


@pytest.mark.parametrize("name", ["two words", "a;touch x;", "l'été", "talk (1)", "a|"])
def test_names_that_a_shell_takes_for_its_own(tmp_path, files, name):
    found = look(tmp_path, files["flac"], f"{name}.flac")
    assert SAFE_PATH.fullmatch(found.path)
    assert os.path.dirname(found.path) == str(tmp_path / "clips")


def test_flac_stays_where_it_is(tmp_path, files):
    found = look(tmp_path, files["flac"], "a.flac")
    assert found == Recording(str(tmp_path / "a.flac"), SECONDS * RATE)
    for name, content in (
        ("pipe.flac", without_length(files["flac"])),
        ("24.flac", encode(format="FLAC", subtype="PCM_24")),
        ("stereo.flac", encode(np.stack([NOISE, NOISE], 1), format="FLAC")),
        ("8k.flac", encode(rate=8000, format="FLAC")),
    ):
        assert look(tmp_path, content, name).path.startswith(f"{tmp_path}/clips/")


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_recording_is_decoded_once(tmp_path, files, monkeypatch, jobs):
    decoded = []
    original = audio.decode

    def decode(path):
        decoded.append(os.path.basename(path))
        return original(path)

    monkeypatch.setattr(audio, "decode", decode)
    monkeypatch.setattr(audio_store, "_AHEAD", 1)
    contents = {
        "a.ogg": files["ogg"],
        "b.flac": files["flac"],
        "c.wav": FAULTS["nan"][0],
        "d.wav": b"x" * 100,
        "e.wav": files["wav"],
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    paths = [str(tmp_path / name) for name in contents]

    def add():
        decoded.clear()
        found = AudioStore(tmp_path / "clips", jobs=jobs).add([*paths, *paths])
        return {path: str(found[path]) for path in paths}

    first = add()
    assert sorted(decoded) == sorted(contents)
    assert "NaN" in first[paths[2]] and "undecodable" in first[paths[3]]
    # Another run, after one was killed while it wrote a line.
    with (tmp_path / "clips" / "known.1.tsv").open("a") as table:
        table.write(f"{paths[0]}\t1")
    assert add() == first and decoded == []
    # Another file under the same name, and one whose FLAC was removed.
    (tmp_path / "a.ogg").write_bytes(files["ogg"] * 2)
    (next((tmp_path / "clips").glob("e-*.flac"))).unlink()
    assert add() != first and sorted(decoded) == ["a.ogg", "e.wav"]  # in any order


def test_writing_does_not_wait_for_the_disk(tmp_path, files, monkeypatch):
    def flush(self):
        assert self.mode == "r"

    monkeypatch.setattr(soundfile.SoundFile, "flush", flush)
    (tmp_path / "a.wav").write_bytes(files["wav"])
    samples = audio_store.convert(tmp_path / "a.wav", tmp_path / "a.flac")
    assert soundfile.info(tmp_path / "a.flac").frames == samples > 0


@pytest.mark.parametrize("jobs", [1, 2])
def test_goes_on_after_a_kill(tmp_path, files, monkeypatch, jobs):
    monkeypatch.setattr(audio_store, "_AHEAD", 2)
    names = [f"{number}.wav" for number in range(12)]
    for name in names:
        (tmp_path / name).write_bytes(files["wav"])
    paths = [str(tmp_path / name) for name in names]
    clips = tmp_path / "clips"
    if (child := os.fork()) == 0:
        write, written = soundfile.SoundFile.write, []

        def die(self, block):
            write(self, block)
            written.append(block)
            if len(written) == 10:  # of one block each
                os.kill(os.getpid(), signal.SIGKILL)

        soundfile.SoundFile.write = die
        AudioStore(clips, jobs=jobs).add(paths)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    assert list(clips.glob(".*.tmp-*"))
    done = len((clips / "known.1.tsv").read_text().splitlines())
    assert 0 < done < 10
    decoded = []
    original = audio.decode
    monkeypatch.setattr(
        audio, "decode", lambda path: decoded.append(path) or original(path)
    )
    found = AudioStore(clips, jobs=jobs).add(paths)
    assert sorted(decoded) == sorted(paths[done:])
    assert not list(clips.glob(".*"))
    clips = {Path(recording.path) for recording in found.values()}
    assert len(clips) == len(names)
    assert len({clip.read_bytes() for clip in clips}) == 1


def test_an_interrupted_conversion_leaves_nothing(tmp_path, files, monkeypatch):
    def write(self, block):
        raise KeyboardInterrupt

    monkeypatch.setattr(soundfile.SoundFile, "write", write)
    (tmp_path / "a.wav").write_bytes(files["wav"])
    with pytest.raises(KeyboardInterrupt):
        audio_store.convert(tmp_path / "a.wav", tmp_path / "a.flac")
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]
