from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from espnet_samu.utils.waveform import (
    CheckedPreprocessor,
    UnusableWaveforms,
    check_waveform,
    check_waveforms,
    named_waveforms,
)


def test_good_ones_pass():
    for waveform in (np.array([0.5, -1.0]), torch.tensor([0.5, -1.0]), [0.5, -1.0]):
        assert check_waveform(waveform, "a", 16000).tolist() == [0.5, -1.0]
    # an mp3 decoder overshoots
    assert check_waveform(np.array([-1.5, 2.0]), "a").tolist() == [-1.5, 2.0]


@pytest.mark.parametrize(
    "waveform, message",
    [
        (
            np.zeros((2, 3)),
            r"utt7: a waveform is \(samples,\), but this one is \(2, 3\)",
        ),
        (np.array([1, 2]), "utt7: .* has torch.int64; divide 16-bit samples by 32768"),
        (np.zeros(0), "utt7: the waveform has no samples"),
        (np.array([0.0, np.nan, np.inf]), "utt7: 2 of 3 samples are NaN or infinite"),
        (np.array([0.0, -32768.0]), "utt7: .* up to 32768; divide samples of 16 bits"),
        (np.array([1e200, 0.0]), r"utt7: .* up to 1e\+200"),
        ("a.wav", r"utt7: 'a.wav' is a path, not a waveform; .*read_speech\(path\)"),
        (Path("a.wav"), "utt7: 'a.wav' is a path"),
        ((np.zeros(2), 16000), "utt7: .* a tuple; soundfile.read gives a pair"),
        (None, "utt7: .* a NoneType"),
    ],
)
def test_bad_ones_are_named(waveform, message):
    with pytest.raises(ValueError, match=message):
        check_waveform(waveform, "utt7")


def test_other_rates():
    message = (
        "utt7: the waveform has 8000 Hz, but speech encoders take 16000; resample it"
    )
    with pytest.raises(ValueError, match=message):
        check_waveform(np.array([0.5]), "utt7", 8000)


def test_preprocessor(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(10), 16000)
    soundfile.write(tmp_path / "b.flac", np.zeros(10), 44100)
    scp = tmp_path / "wav.scp"
    scp.write_text(f"a {tmp_path}/a.wav\nb {tmp_path}/b.flac\n")
    speech = np.array([0.5])

    check = CheckedPreprocessor(str(scp))
    assert check("a", {"speech": speech}) == {"speech": speech}
    with pytest.raises(
        ValueError, match="utterance b: .*b.flac has 44100 Hz.*--fs 16k"
    ):
        check("b", {"speech": speech})
    with pytest.raises(ValueError, match="utterance a: .*no samples"):
        check("a", {"speech": speech[:0]})
    # Of archives the rate is not known; what the other preprocessor makes counts.
    double = CheckedPreprocessor(None, lambda uid, data: {"speech": data["speech"] * 2})
    assert double("b", {"speech": speech})["speech"].tolist() == [1.0]


LENGTHS = torch.tensor([4, 2, 3])


def batch():
    return torch.tensor(
        [[0.1, -0.1, 0.2, 0.3], [0.1, 0.2, float("nan"), 0.0], [0.0, 0.5, 0.0, 0.0]]
    )


def test_padding_does_not_count():
    check_waveforms(batch(), LENGTHS)


def test_named_by_reason():
    bad = batch()
    bad[0, 1] = float("nan")
    bad[2] = 0.25
    bad[2, 3] = 1.0  # padding
    message = (
        "^utterance a: samples are NaN or infinite; utterance c: silent, all samples "
        "are equal. Do this$"
    )
    with pytest.raises(UnusableWaveforms, match=message):
        check_waveforms(bad, LENGTHS, ["a", "b", "c"], advice=". Do this")
    bad = batch()
    bad[1, 0], bad[0, 2], bad[2, 1] = float("inf"), -1e20, float("-inf")
    with pytest.raises(UnusableWaveforms) as info:
        check_waveforms(bad, LENGTHS)
    assert info.value.reasons.keys() == {0, 1, 2}
    assert "rows" not in str(
        info.value
    ) and "row 1 of the batch, row 2 of the batch: " in (str(info.value))
    assert "up to 1e+20; divide samples of 16 bits by 32768" in info.value.reasons[0]


def test_silence_may_be_allowed(caplog):
    bad = batch()
    bad[2] = 0.25
    check_waveforms(bad, LENGTHS, ["a", "b", "c"], allow_silence=True)
    assert "utterance c: silent, all samples are equal" in caplog.text
    bad[0, 1] = float("nan")
    with pytest.raises(UnusableWaveforms, match="^utterance a: samples are NaN or inf"):
        check_waveforms(bad, LENGTHS, ["a", "b", "c"], allow_silence=True)


def test_named():
    with pytest.raises(UnusableWaveforms, match=r"^utterance y: too short\. Wait$"):
        with named_waveforms(["x", "y"], ". Wait"):
            raise UnusableWaveforms({1: "too short"})
    with pytest.raises(KeyError), named_waveforms(["x", "y"]):
        raise KeyError("another fault")
