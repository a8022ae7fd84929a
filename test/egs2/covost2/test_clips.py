"""Sound files: which can be used, and what they become."""

import os

import numpy as np
import pytest
import soundfile
from covost2 import clips as module
from covost2.clips import EMPTY, MISSING, UNDECODABLE, Clips

from .tree import SECONDS, clip


@pytest.fixture
def folder(tmp_path, write_clips):
    """One good clip, and one of each kind that cannot be used."""
    write_clips(tmp_path, "fr", [1])
    clips = tmp_path / "fr" / "clips"
    (clips / clip("fr", 2)).write_bytes(b"")
    (clips / clip("fr", 3)).write_bytes(b"<html>not here</html>" * 40)
    return tmp_path / "fr"


NAMES = [clip("fr", number) for number in (1, 2, 3, 4)]


@pytest.mark.parametrize("mode", ["convert", "check"])
def test_faults(folder, tmp_path, mode):
    faults = Clips(mode, tmp_path / "out", jobs=2).faults(folder, NAMES)
    kinds = [EMPTY, UNDECODABLE, MISSING]
    assert faults == dict(zip(NAMES[1:], kinds))


def test_sizes_alone_do_not_show_what_is_undecodable(folder, tmp_path):
    faults = Clips("stat", tmp_path / "out").faults(folder, NAMES)
    assert faults == {NAMES[1]: EMPTY, NAMES[3]: MISSING}


def test_paths(folder, tmp_path):
    assert Clips("check", tmp_path / "out").path(folder, NAMES[0]) == str(
        folder / "clips" / NAMES[0]
    )
    # As given: relative to the recipe, as all that ESPnet writes to dump/.
    converted = Clips("convert", tmp_path / "out").path(folder, NAMES[0])
    assert converted == f"{tmp_path}/out/fr/common_voice_fr_1.flac"


def test_converted_sine(folder, tmp_path):
    clips = Clips("convert", tmp_path / "out")
    clips.faults(folder, NAMES[:1])
    path = clips.path(folder, NAMES[0])
    info = soundfile.info(path)
    assert (info.format, info.subtype) == ("FLAC", "PCM_16")
    assert (info.samplerate, info.channels) == (16000, 1)
    # mp3 pads to whole frames of 1152 samples at 48 kHz.
    assert abs(info.frames / 16000 - SECONDS) <= 2 * 1152 / 48000
    wave, _ = soundfile.read(path)
    middle = wave[len(wave) // 4 : 3 * len(wave) // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    peak = np.argmax(spectrum) * 16000 / len(middle)
    assert abs(peak - 440) < 16000 / len(middle)
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.1 / 2**0.5, rel=0.05)


def test_channels_are_averaged(tmp_path):
    wave = np.zeros((4410, 2))
    wave[:, 0], wave[:, 1] = 0.5, 0.1
    soundfile.write(tmp_path / "two.wav", wave, 44100)
    assert module.convert(tmp_path / "two.wav", tmp_path / "one.flac") is None
    converted, rate = soundfile.read(tmp_path / "one.flac")
    assert (rate, converted.shape) == (16000, (1600,))
    assert np.allclose(converted[200:-200], 0.3, atol=1e-3)


def test_a_clip_is_converted_once(folder, tmp_path, monkeypatch):
    calls = []
    original = module.convert

    def convert(path, output):
        calls.append(path.name)
        return original(path, output)

    monkeypatch.setattr(module, "convert", convert)
    output = tmp_path / "out"
    clips = Clips("convert", output)
    clips.faults(folder, NAMES[:1])
    clips.faults(folder, NAMES[:1])  # another set
    assert calls == NAMES[:1]
    Clips("convert", output).faults(folder, NAMES[:1])  # another run
    assert calls == NAMES[:1]
    later = os.stat(clips.path(folder, NAMES[0])).st_mtime + 10
    os.utime(folder / "clips" / NAMES[0], (later, later))
    Clips("convert", output).faults(folder, NAMES[:1])  # another clip
    assert calls == 2 * NAMES[:1]


def test_an_interrupted_conversion_leaves_nothing(folder, tmp_path, monkeypatch):
    def write(path, *args, **kwargs):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(soundfile, "write", write)
    with pytest.raises(KeyboardInterrupt):
        module.convert(folder / "clips" / NAMES[0], tmp_path / "out.flac")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fr"]


def test_many_shares(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_SHARE", 2)
    (tmp_path / "fr").mkdir()
    names = [clip("fr", number) for number in range(7)]
    faults = Clips("stat", tmp_path, jobs=3).faults(tmp_path / "fr", names)
    assert faults == dict.fromkeys(names, MISSING)


def test_no_such_mode(tmp_path):
    with pytest.raises(ValueError, match="--audio must be one of convert check stat"):
        Clips("sox", tmp_path)
