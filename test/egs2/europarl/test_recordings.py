"""m4a through ffmpeg: a stand-in for it, and the real one where it is installed."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

FORMAT = "tools/espnet/egs2/TEMPLATE/asr1/pyscripts/audio/format_wav_scp.py"
ROOT = Path(__file__).parents[3]
RATE = 16_000
# An m4a of the stand-in is a wav of that name; each call is written down.
FFMPEG = """#!/bin/sh
while [ "$1" != -i ]; do shift; done
echo "ffmpeg $2" >> "$CALLS"
[ "$3 $4 $5 $6" = "-ar 16000 -ac 1" ] && cat "$2"
"""
FFPROBE = """#!/bin/sh
for file; do :; done
echo "ffprobe $file" >> "$CALLS"
grep -q RIFF "$file" || { echo "moov atom not found" >&2; exit 1; }
echo 3.000000
"""


@pytest.fixture
def m4a(tree):
    """Make the recordings of German .m4a files by a function; the flacs go."""

    def m4a(convert):
        folder = tree.root / "de" / "audios"
        for flac in list(folder.glob("*.flac")):
            convert(flac, flac.with_suffix(".m4a"))
            flac.unlink()
        return folder

    return m4a


def rename_wav(flac, target):
    """Write what the stand-in takes for AAC."""
    samples, rate = soundfile.read(flac, dtype="int16")
    soundfile.write(target, samples, rate, format="WAV")


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Put ffmpeg and ffprobe on the PATH; returns the calls by program."""
    folder = tmp_path / "bin"
    folder.mkdir()
    log = tmp_path / "calls"
    log.touch()
    for name, script in (("ffmpeg", FFMPEG), ("ffprobe", FFPROBE)):
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("CALLS", str(log))
    monkeypatch.setenv("PATH", str(folder), prepend=":")

    def calls(program):
        lines = log.read_text().splitlines()
        return sorted(Path(x[1]).name for x in map(str.split, lines) if x[0] == program)

    return calls


def cut(data, name, tmp_path):
    """Do as ESPnet's stage 3 and return samples and rate of each utterance."""
    output = tmp_path / f"cut_{name}"
    command = [sys.executable, ROOT / FORMAT, "--fs", "16k", "--audio-format", "flac"]
    command += ["--segments", data / name / "segments", data / name / "wav.scp"]
    subprocess.run([*map(str, command), str(output)], check=True, capture_output=True)
    lines = (output / "wav.scp").read_text().splitlines()
    return {utt: soundfile.read(path) for utt, path in map(str.split, lines)}


def test_segments_of_m4a(stand_in, m4a, prepare, tree, data, read, tmp_path):
    whole = soundfile.read(tree.root / "de" / "audios" / "train.1.flac")[0]
    folder = m4a(rename_wav)
    assert prepare("--src_langs", "de,fr") == 0
    entry = read(data / "train.x2en" / "wav.scp")["de_train.1"]
    assert entry == (
        f"ffmpeg -nostdin -loglevel error -i {folder}/train.1.m4a -ar 16000 -ac 1 "
        "-f wav - |"
    )
    found = cut(data, "train.x2en", tmp_path)
    assert len(found) == 8
    samples, rate = found["EUmember_1-de_train.1-00000500_00001250-en"]
    assert rate == RATE
    assert np.array_equal(samples, whole[RATE // 2 : RATE * 5 // 4])
    # Two segments each, decoded once.
    assert stand_in("ffmpeg") == ["train.0.m4a", "train.1.m4a"]


def test_durations_are_asked_for_once(stand_in, m4a, prepare, tree):
    folder = m4a(rename_wav)
    expected = ["dev.0.m4a", "test.0.m4a", "train.0.m4a", "train.1.m4a"]
    assert prepare("--src_langs", "de,fr") == 0
    assert stand_in("ffprobe") == expected
    assert prepare("--src_langs", "de,fr") == 0
    assert stand_in("ffprobe") == expected
    with (folder / "dev.0.m4a").open("ab") as out:  # another file now
        out.write(b"more")
    assert prepare("--src_langs", "de,fr") == 0
    assert stand_in("ffprobe") == sorted([*expected, "dev.0.m4a"])


def test_what_was_asked_before_a_mistake_is_remembered(
    stand_in, m4a, prepare, tree, stderr
):
    folder = m4a(rename_wav)
    good = (folder / "train.1.m4a").read_bytes()
    (folder / "train.1.m4a").write_bytes(b"half a download")
    assert prepare() == 1
    message = f"{folder}/train.1.m4a:1: it cannot be read (moov atom not found); unpack"
    assert message in stderr()
    (folder / "train.1.m4a").write_bytes(good)
    assert prepare() == 0
    assert stand_in("ffprobe").count("train.0.m4a") == 1
    assert stand_in("ffprobe").count("train.1.m4a") == 2


@pytest.mark.parametrize("missing", ["ffmpeg", "ffprobe"])
def test_without_ffmpeg(m4a, prepare, data, monkeypatch, tmp_path, stderr, missing):
    m4a(rename_wav)
    for name in {"ffmpeg", "ffprobe"} - {missing}:
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert prepare() == 1
    assert stderr().count("Error: ") == 1
    assert f"{missing} is missing: libsndfile does not read" in stderr()
    assert "apt-get install ffmpeg" in stderr()
    assert not data.exists()


def test_blanks_and_quotes_in_the_path(
    stand_in, m4a, prepare, tree, data, read, tmp_path
):
    m4a(rename_wav)
    odd = tmp_path / "it's my $corpus"
    tree.root.rename(odd)
    assert prepare("--src_langs", "de,fr", root=odd) == 0
    found = cut(data, "test.de-en", tmp_path)
    assert {len(samples) for samples, _ in found.values()} == {12_000, 20_000}


def test_converted_files_are_preferred(m4a, stand_in, prepare, tree, data, read):
    flacs = {p.stem: p.read_bytes() for p in (tree.root / "de/audios").glob("*.flac")}
    folder = m4a(rename_wav)
    for stem, content in flacs.items():
        (folder / f"{stem}.flac").write_bytes(content)
    assert prepare("--src_langs", "de,fr") == 0
    assert stand_in("ffprobe") == []
    assert read(data / "test.de-en" / "wav.scp") == {
        "de_test.0": f"{folder}/test.0.flac"
    }


@pytest.mark.parametrize(
    "suffix, rate, channels, is_plain",
    [
        ("wav", RATE, 1, True),
        ("ogg", RATE, 1, True),
        ("wav", 44_100, 1, False),
        ("flac", RATE, 2, False),
    ],
)
def test_other_formats(
    stand_in, prepare, tree, data, read, suffix, rate, channels, is_plain
):
    path = tree.root / "de" / "audios" / "test.0.flac"
    path.unlink()
    path = path.with_suffix(f".{suffix}")
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (3 * rate, channels))
    soundfile.write(path, samples, rate)
    assert prepare("--src_langs", "de,fr") == 0
    entry = read(data / "test.de-en" / "wav.scp")["de_test.0"]
    assert (entry == str(path)) is is_plain
    assert entry.startswith("ffmpeg ") is not is_plain


@pytest.mark.timeout(30)
@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_real_m4a(m4a, prepare, tree, data, read, tmp_path):
    time = np.arange(3 * RATE) / RATE

    def tone(flac, target):
        # 200 Hz, then 2000 Hz from 1.25 s on
        hertz = np.where(time < 1.25, 200, 2000)
        soundfile.write(flac, 0.3 * np.sin(2 * np.pi * hertz * time), RATE)
        command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-i", str(flac)]
        command += ["-ar", "44100", "-ac", "2", "-c:a", "aac", str(target)]
        subprocess.run(command, check=True)

    m4a(tone)
    assert prepare("--src_langs", "de,fr") == 0
    found = cut(data, "test.de-en", tmp_path)
    expected = {"00000500_00001250": (0.75, 200), "00001250_00002500": (1.25, 2000)}
    assert len(found) == 2
    for utt, (samples, rate) in found.items():
        seconds, hertz = expected[utt.split("-")[2]]
        assert (rate, len(samples)) == (RATE, seconds * RATE)
        peak = np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples)
        assert peak == pytest.approx(hertz, abs=2)
