import numpy as np
import pytest
import torch
import torchaudio
from torchaudio.compliance.kaldi import fbank
from transformers import SeamlessM4TFeatureExtractor

from espnet_samu.frontend.log_mel import LogMel


def kaldi_fbank(speech, **kwargs):
    return fbank(
        speech[None] * 2**15,
        window_type="povey",
        dither=0.0,
        use_energy=False,
        **kwargs
    )


def test_equals_transformers(noise):
    extractor = SeamlessM4TFeatureExtractor(padding_value=0)
    speech, lengths = noise(16000, 9999)  # 98 and 60 frames of 10 ms
    before = speech.clone()
    frames, out_lengths = LogMel()(speech, lengths)
    torch.testing.assert_close(speech, before, rtol=0, atol=0)
    waves = [wave[:n].numpy() for wave, n in zip(speech, lengths)]
    expected = extractor(waves, sampling_rate=16000, return_tensors="np")
    assert out_lengths.tolist() == expected["attention_mask"].sum(1).tolist()
    assert out_lengths.tolist() == [49, 30]
    assert frames.shape == (2, 49, 160)
    for i, n in enumerate(out_lengths):
        np.testing.assert_allclose(
            frames[i, :n], expected["input_features"][i, :n], rtol=0, atol=1e-3
        )
    assert frames[1, 30:].abs().max() == 0


def test_each_bin_is_normalised(noise):
    speech, lengths = noise(16000, 8000)
    log_mel = LogMel(n_mels=40, stack=1)
    assert log_mel.output_size() == 40
    frames, out_lengths = log_mel(speech, lengths)
    for row, n in zip(frames, out_lengths):
        torch.testing.assert_close(row[:n].mean(0), torch.zeros(40), rtol=0, atol=1e-4)
        torch.testing.assert_close(row[:n].std(0), torch.ones(40), rtol=0, atol=1e-3)


@pytest.mark.parametrize("stack", [2, 8])
def test_batch_equals_alone(noise, stack):
    speech, lengths = noise(9990, 16000, 4000)
    log_mel = LogMel(n_mels=20, stack=stack)
    frames, out_lengths = log_mel(speech, lengths)
    for i, n in enumerate(lengths.tolist()):
        alone, alone_lengths = log_mel(speech[i : i + 1, :n], lengths[i : i + 1])
        assert alone.size(1) == alone_lengths[0] == out_lengths[i]
        torch.testing.assert_close(
            frames[i, : out_lengths[i]], alone[0], rtol=0, atol=1e-5
        )


def test_lengths_by_hand():
    lengths = torch.tensor([0, 399, 400, 559, 560, 719, 720, 880])
    assert LogMel(stack=1).output_lengths(lengths).tolist() == [0, 0, 1, 1, 2, 2, 3, 4]
    assert LogMel(stack=2).output_lengths(lengths).tolist() == [0, 0, 0, 0, 1, 1, 1, 2]


def test_autocast_does_not_round(noise):
    speech, lengths = noise(4000)
    expected, _ = LogMel()(speech, lengths)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        frames, _ = LogMel()(speech, lengths)
    torch.testing.assert_close(frames, expected, rtol=0, atol=0)


def test_fmax(noise):
    speech, lengths = noise(16000)
    narrow = torchaudio.functional.lowpass_biquad(speech, 16000, 3000.0)
    log_mel = LogMel(n_mels=20, stack=1, fmax=1000.0)
    expected = kaldi_fbank(speech[0], num_mel_bins=20, high_freq=1000.0)
    frames, _ = log_mel(speech, lengths)
    expected = (expected - expected.mean(0)) / expected.std(0)
    torch.testing.assert_close(frames[0], expected, rtol=0, atol=1e-2)

    def moved(log_mel):
        return (log_mel(narrow, lengths)[0] - log_mel(speech, lengths)[0]).abs().mean()

    assert moved(log_mel) < 0.1 * moved(LogMel(n_mels=20, stack=1))


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"n_mels": 0}, "n_mels and stack must be 1 or more"),
        ({"stack": 0}, "n_mels and stack must be 1 or more"),
        ({"fmax": 8001.0}, "fmax must be from 1000 to 8000 Hz, but got 8001.0"),
        ({"fmax": 0.0}, "fmax must be from 1000 to 8000 Hz"),
    ],
)
def test_refuses(kwargs, message):
    with pytest.raises(ValueError, match=message):
        LogMel(**kwargs)


def test_constants_are_not_stored():
    assert LogMel().state_dict() == {}
