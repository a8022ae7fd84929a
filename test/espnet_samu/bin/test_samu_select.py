import pickle

import kaldiio
import numpy as np
import pytest
import soundfile

from espnet_samu.bin import samu_select
from espnet_samu.bin.samu_select import audio_fault, language_rows, select
from espnet_samu.utils.kaldi_io import read_text, write_text, write_vectors

GOOD = ("good1", "good2")
DROPPED = {
    "untold": "no transcript",
    "unknown": "no sentence embedding",
    "short": "shorter than one frame (400 samples)",
    "unheard": "no audio",
    "never": "no audio",
    "silent": "silent",
    "nan": "not finite",
    "loud": "samples outside of [-10, 10]",
    "slow": "sampling rate 8000 Hz, not 16000",
    "stereo": "2 channels",
    "broken": "unreadable audio",
    "long": "too short or too long for stage 4",
    "empty": "no transcript",
}
LISTENED = ("silent", "nan", "loud", "slow", "stereo", "broken")


@pytest.fixture
def corpus(tmp_path):
    """Folders data/set and dump/set with each fault once."""
    generator = np.random.default_rng(0)
    wavs = {}
    for name in (*GOOD, *DROPPED):
        wave = generator.normal(0, 0.1, 1600)
        if name == "silent":
            wave[:] = 0
        elif name == "nan":
            wave[7] = np.nan
        elif name == "loud":
            wave *= 32768
        elif name == "stereo":
            wave = np.stack([wave, wave], axis=1)
        wavs[name] = str(tmp_path / f"{name}.wav")
        rate = 8000 if name == "slow" else 16000
        soundfile.write(wavs[name], wave, rate, subtype="FLOAT")
    (tmp_path / "broken.wav").write_bytes(b"no sound")
    here = [u for u in wavs if u not in ("unheard", "never", "long", "empty")]
    dump, source = tmp_path / "dump", tmp_path / "data"
    write_text(dump / "wav.scp", {u: wavs[u] for u in here})
    samples = {u: "399" if u == "short" else "1600" for u in here}
    write_text(dump / "utt2num_samples", samples)
    write_text(dump / "utt2lang", {u: "es" if u == "good1" else "fr" for u in here})
    texts = {u: "text" for u in wavs if u not in ("untold", "empty")}
    write_text(dump / "text.tc.multi", {u: t for u, t in texts.items() if u != "never"})
    write_text(dump / "embed.scp", {u: "ark:1" for u in here if u != "unknown"})
    audio = {u: p for u, p in wavs.items() if u not in ("unheard", "never")}
    write_text(source / "wav.scp", audio)
    write_text(source / "text.tc.multi", texts)
    return tmp_path


def test_every_utterance_is_accounted_for(corpus):
    dump = corpus / "dump"
    files = dump / "text.tc.multi", dump / "embed.scp"
    selection = select(dump, *files, corpus / "data", check_audio=True, jobs=2)
    assert selection.samples == dict.fromkeys(GOOD, 1600)
    assert selection.dropped == DROPPED
    assert selection.reasons()["no audio"] == 2

    deaf = select(dump, *files)
    assert set(deaf.samples) == {*GOOD, *LISTENED}
    assert set(deaf.dropped) == {"untold", "unknown", "short", "unheard", "long"}


def test_command(corpus, capsys):
    dump, out = corpus / "dump", corpus / "out"
    cmd = f"--data_dir {dump} --source_dir {corpus}/data --embed {dump}/embed.scp"
    cmd += f" --text {dump}/text.tc.multi --check_audio true --output_dir {out}"
    samu_select.main(cmd.split())
    assert (out / "speech_shape").read_text() == "good1 1600\ngood2 1600\n"
    # 1600 samples are 0.1 s
    rows = "dump\tes\t1\t0.000\ndump\tfr\t1\t0.000\n"
    assert (out / "languages.tsv").read_text() == rows
    dropped = dict(
        line.split("\t") for line in (out / "dropped.tsv").read_text().splitlines()
    )
    assert dropped == DROPPED
    printed = capsys.readouterr().out
    assert "2 utterances are used" in printed
    assert "2 utterances are dropped: no audio" in printed


def test_spellings_are_one_language(corpus, caplog):
    langs = {"good1": "zh_CN", "good2": "zh-CN", "slow": "zh-CN", "nan": "ZH-CN"}
    write_text(corpus / "utt2lang", langs)
    # Three hours, and one.
    samples = {"good1": 57600000, "good2": 3 * 57600000}
    rows = language_rows("set", samples, corpus / "utt2lang")
    assert rows == ["set\tzh-CN\t2\t4.000"]
    assert "utt2lang: zh-CN zh_CN are one language, called 'zh-CN'" in caplog.text


def test_nothing_is_left(corpus):
    dump = corpus / "dump"
    write_text(dump / "embed.scp", {"other": "ark:1"})
    with pytest.raises(ValueError, match=r"no utterance can be used \(.*no sentence"):
        select(dump, dump / "text.tc.multi", dump / "embed.scp")


def test_language_is_missing(corpus):
    dump = corpus / "dump"
    write_text(dump / "utt2lang", {"good1": "es"})
    cmd = f"--data_dir {dump} --text {dump}/text.tc.multi --embed {dump}/embed.scp"
    with pytest.raises(ValueError, match="utt2lang misses 7 of 8 utterances"):
        samu_select.main([*cmd.split(), "--output_dir", f"{corpus}/out"])
    assert not (corpus / "out").exists()


def test_audio_in_an_ark(tmp_path):
    waves = {"good": np.arange(500, dtype=np.int16), "silent": np.zeros(500, np.int16)}
    ark, scp = tmp_path / "wav.ark", tmp_path / "wav.scp"
    with kaldiio.WriteHelper(f"ark,scp:{ark},{scp}") as writer:
        for name, wave in waves.items():
            writer(name, (16000, wave))
    faults = {name: audio_fault(place) for name, place in read_text(scp).items()}
    assert faults == {"good": None, "silent": "silent"}
    assert audio_fault(str(tmp_path / "none.wav")) == "unreadable audio"
    place = write_vectors(tmp_path, [("two", np.ones(2))]).read_text().split()[1]
    assert audio_fault(place) == "unreadable audio"


@pytest.mark.parametrize("entry", ["touch {} |", "{}.ark:0"])
def test_nothing_is_run(corpus, entry):
    dump, canary = corpus / "dump", corpus / "canary"
    (corpus / "canary.ark").write_bytes(b"PKL" + pickle.dumps(range))
    wavs = {**read_text(dump / "wav.scp"), "good2": entry.format(canary)}
    write_text(dump / "wav.scp", wavs)
    with pytest.raises(
        ValueError, match="wav.scp:2: entry of 'good2' is a (comm|pick)"
    ):
        select(dump, dump / "text.tc.multi", dump / "embed.scp", check_audio=True)
    assert not canary.exists()
