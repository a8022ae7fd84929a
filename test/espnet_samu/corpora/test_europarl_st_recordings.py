"""Recordings of any format, m4a as in the corpus: decoded once, cut by stage 3."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from espnet_samu.corpora import audio

from .europarl_st_tree import write_m4a

FORMAT = "tools/espnet/egs2/TEMPLATE/asr1/pyscripts/audio/format_wav_scp.py"
ROOT = Path(__file__).parents[3]
RATE = 16_000


@pytest.fixture
def decoded(monkeypatch):
    """Names of the recordings that were decoded since the last call."""
    names = []
    original = audio.decode

    def decode(path):
        names.append(Path(path).name)
        return original(path)

    def decoded():
        found = sorted(names)
        names.clear()
        return found

    monkeypatch.setattr(audio, "decode", decode)
    return decoded


def cut(data, name, tmp_path):
    """Do as ESPnet's stage 3 and return samples and rate of each utterance."""
    output = tmp_path / f"cut_{name}"
    command = [sys.executable, ROOT / FORMAT, "--fs", "16k", "--audio-format", "flac"]
    command += ["--segments", data / name / "segments", data / name / "wav.scp"]
    subprocess.run([*map(str, command), str(output)], check=True, capture_output=True)
    lines = (output / "wav.scp").read_text().splitlines()
    return {utt: soundfile.read(path) for utt, path in map(str.split, lines)}


@pytest.mark.timeout(60)
def test_segments_of_m4a(prepare_europarl, tree, data, read, tmp_path):
    """Also where a path has blanks, quotes and what a shell takes for its own."""
    time = np.arange(3 * RATE) / RATE
    # 200 Hz, then 2000 Hz from 1.25 s on
    hertz = np.where(time < 1.25, 200, 2000)
    wave = 0.3 * np.sin(2 * np.pi * hertz * time)
    for flac in sorted((tree.root / "de" / "audios").glob("*.flac")):
        soundfile.write(flac, wave, RATE)
        write_m4a(flac, flac.with_suffix(".m4a"))
        flac.unlink()
    odd = tmp_path / "it's my $corpus;"
    tree.root.rename(odd)
    assert prepare_europarl("--src_langs", "de,fr", root=odd) == 0
    entry = read(data / "test.de-en" / "wav.scp")["de_test.0"]
    assert entry.startswith(f"{tmp_path}/clips/test.0-")
    found = cut(data, "test.de-en", tmp_path)
    expected = {"00000500_00001250": (0.75, 200), "00001250_00002500": (1.25, 2000)}
    assert len(found) == 2
    for utt, (samples, rate) in found.items():
        seconds, hertz = expected[utt.split("-")[2]]
        assert (rate, samples.shape) == (RATE, (seconds * RATE,))
        peak = np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples)
        assert peak == pytest.approx(hertz, abs=2)


def test_recordings_are_decoded_once(decoded, prepare_europarl, tree):
    assert prepare_europarl("--src_langs", "de,fr") == 0
    assert len(decoded()) == 12
    assert prepare_europarl("--src_langs", "de,fr") == 0
    assert decoded() == []
    path = tree.root / "de" / "audios" / "dev.0.flac"
    samples, rate = soundfile.read(path)
    soundfile.write(path, samples / 2, rate)  # another file now
    assert prepare_europarl("--src_langs", "de,fr") == 0
    assert decoded() == ["dev.0.flac"]


@pytest.mark.parametrize(
    "suffix, rate, channels, stays",
    [("flac", RATE, 1, True), ("wav", RATE, 1, False), ("ogg", 44_100, 2, False)],
)
def test_other_formats(
    prepare_europarl, tree, data, read, suffix, rate, channels, stays
):
    path = tree.root / "de" / "audios" / "test.0.flac"
    path.unlink()
    path = path.with_suffix(f".{suffix}")
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (3 * rate, channels))
    soundfile.write(path, samples, rate)
    assert prepare_europarl("--src_langs", "de,fr") == 0
    entry = read(data / "test.de-en" / "wav.scp")["de_test.0"]
    assert (entry == str(path)) is stays
    info = soundfile.info(entry)
    assert (info.format, info.samplerate, info.channels) == ("FLAC", RATE, 1)


def test_converted_files_are_preferred(decoded, prepare_europarl, tree, data, read):
    folder = tree.root / "de" / "audios"
    for flac in folder.glob("*.flac"):
        flac.with_suffix(".m4a").write_bytes(b"not looked at")
    assert prepare_europarl("--src_langs", "de,fr") == 0
    assert not any(name.endswith(".m4a") for name in decoded())
    assert read(data / "test.de-en" / "wav.scp") == {
        "de_test.0": f"{folder}/test.0.flac"
    }
