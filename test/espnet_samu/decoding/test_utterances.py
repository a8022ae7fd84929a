"""Tests of espnet_samu.decoding.utterances."""

import os

import numpy as np
import pytest
import soundfile
import torch

from espnet_samu.decoding.utterances import (
    Utterance,
    UtteranceReader,
    is_out_of_memory,
    list_utterances,
    reason_of,
)
from espnet_samu.utils.waveform import UnusableWaveforms


@pytest.mark.parametrize(
    "error, reason",
    [
        (ValueError("too\n  short"), "too short"),
        (ValueError(""), "ValueError: "),
        (KeyError("utt"), "KeyError: 'utt'"),
        (RuntimeError("a\nb"), "RuntimeError: a b"),
        (UnicodeError("x"), "UnicodeError: x"),
        (UnusableWaveforms({3: "too short"}, ["a"] * 4, ". Advice"), "too short"),
        (
            UnusableWaveforms({0: "longer than the window of whisper"}),
            "longer than the window of whisper; cut it into segments in stage 1, or in "
            "decoding by --chunk_seconds",
        ),
    ],
)
def test_reasons(error, reason):
    assert reason_of(error) == reason
    assert not is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [MemoryError("no"), torch.OutOfMemoryError("CUDA out of memory. Tried 9 GiB")],
)
def test_out_of_memory(error):
    assert is_out_of_memory(error)
    assert reason_of(error).startswith("out of memory, alone in its batch: ")
    assert reason_of(error).endswith("--chunk_seconds cuts long utterances in decoding")
    assert reason_of(error, is_alone=False) == f"out of memory: {error}"


def test_out_of_memory_of_the_cpu():
    # 2 ** 62 bytes
    with pytest.raises(RuntimeError) as info:
        torch.empty(2**60, dtype=torch.float32)
    assert is_out_of_memory(info.value)


@pytest.fixture
def wav_scp(tmp_path):
    """A wav.scp of sound and unsound files."""
    generator = np.random.default_rng(0)
    waves = {
        # the first one decides nothing for the others
        "slow": (generator.normal(0, 0.1, 800), 8000),
        "good": (generator.normal(0, 0.1, 1600), 16000),
        "empty": (np.zeros(0), 16000),
        "stereo": (generator.normal(0, 0.1, (1600, 2)), 16000),
        "nan": (np.full(1600, np.nan, dtype=np.float32), 16000),
    }
    for key, (wave, rate) in waves.items():
        subtype = "FLOAT" if key == "nan" else "PCM_16"
        soundfile.write(tmp_path / f"{key}.wav", wave, rate, subtype)
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "cut.wav").write_bytes((tmp_path / "good.wav").read_bytes()[:30])
    keys = [*waves, "text", "cut", "missing", "last"]
    lines = [f"{key} {tmp_path}/{key}.wav\n" for key in keys[:-1]]
    (tmp_path / "wav.scp").write_text("".join(lines) + f"last {tmp_path}/good.wav\n")
    return f"{tmp_path}/wav.scp"


@pytest.mark.parametrize("with_workers", [False, True])
def test_reader(wav_scp, with_workers):
    import torch

    utterances = [*list_utterances(wav_scp), Utterance("unknown", "", None)]
    readings = UtteranceReader(wav_scp, "sound", utterances)
    assert len(readings) == 10
    if with_workers:
        readings = torch.utils.data.DataLoader(
            readings, batch_size=None, num_workers=1, collate_fn=lambda reading: reading
        )
    readings = {r.utterance.key: r for r in readings}
    assert list(readings) == [u.key for u in utterances]
    for key in ("good", "last"):
        assert readings[key].speech.shape == (1600,)
        assert readings[key].speech.dtype == torch.float32
        assert readings[key].reason == ""
    reasons = {key: r.reason for key, r in readings.items() if r.speech is None}
    assert len(reasons) == 8
    assert "has 8000 Hz, but speech encoders take 16000" in reasons["slow"]
    assert reasons["empty"] == "utterance empty: the waveform has no samples"
    assert "(1600, 2); choose one channel" in reasons["stereo"]
    assert "1600 of 1600 samples are NaN or infinite" in reasons["nan"]
    for key in ("text", "cut", "missing"):
        assert f"{key}.wav" in reasons[key] and "Error" in reasons[key]
    assert reasons["unknown"] == f"is not in {wav_scp}"


def test_sources(wav_scp, tmp_path):
    before = {u.key: u.source for u in list_utterances(wav_scp)}
    assert before["good"] == before["last"]
    assert len(set(before.values())) == 8
    assert before == {u.key: u.source for u in list_utterances(wav_scp)}
    os.utime(tmp_path / "good.wav", ns=(1, 1))
    after = {u.key: u.source for u in list_utterances(wav_scp)}
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {"good", "last"}
    # an entry of an archive
    (tmp_path / "ark.scp").write_text(f"a {tmp_path}/good.wav:7\n")
    assert " 1 None" in list_utterances(f"{tmp_path}/ark.scp")[0].source


def test_keys(wav_scp, tmp_path):
    (tmp_path / "keys").write_text("last x\ngood\nother\n")
    utterances = list_utterances(wav_scp, f"{tmp_path}/keys")
    assert [u.key for u in utterances] == ["last", "good", "other"]


def test_languages(wav_scp, tmp_path):
    assert {u.tgt_lang for u in list_utterances(wav_scp)} == {None}
    given = list_utterances(wav_scp, tgt_lang="de")
    assert {u.tgt_lang for u in given} == {"de"}
    assert given[0].source != list_utterances(wav_scp)[0].source
    (tmp_path / "utt2tgt_lang").write_text("good fr\nlast de\n")
    (tmp_path / "keys").write_text("last\ngood\n")
    keys = f"{tmp_path}/keys"
    assert [u.tgt_lang for u in list_utterances(wav_scp, keys)] == ["de", "fr"]
    found = list_utterances(wav_scp, keys, tgt_lang="es")
    assert [u.tgt_lang for u in found] == ["es", "es"]
    found = list_utterances(wav_scp, keys, has_languages=False)
    assert [u.tgt_lang for u in found] == [None, None]
    with pytest.raises(ValueError, match="no target language of 7 of 9 .* e.g. slow"):
        list_utterances(wav_scp)
