import numpy as np
import pytest
import soundfile
import torch

from espnet_samu.utils.waveform import (
    CheckedPreprocessor,
    check_waveform,
    check_waveforms,
)


def test_good_ones_pass():
    for waveform in (np.array([0.5, -1.0]), torch.tensor([0.5, -1.0])):
        assert check_waveform(waveform, "a").tolist() == [0.5, -1.0]


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
    ],
)
def test_bad_ones_are_named(waveform, message):
    with pytest.raises(ValueError, match=message):
        check_waveform(waveform, "utt7")


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
    with pytest.raises(ValueError, match="not finite: utterance a; silent: utter.* c"):
        check_waveforms(bad, LENGTHS, ["a", "b", "c"])
    bad = batch()
    bad[1, 0] = float("inf")
    with pytest.raises(ValueError, match="not finite: utterance number 1 of the batch"):
        check_waveforms(bad, LENGTHS)
