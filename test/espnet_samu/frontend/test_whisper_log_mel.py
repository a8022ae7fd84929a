import numpy as np
import pytest
import torch
from transformers import WhisperFeatureExtractor

from espnet_samu.frontend.whisper_log_mel import WhisperLogMel


@pytest.mark.parametrize(
    "n_mels, seconds, samples",
    [
        (80, 1, (16000, 15999, 8001, 160, 1)),
        (128, 1, (12345, 9000)),
        (80, 30, (40000, 20001)),
    ],
)
def test_equals_transformers(noise, n_mels, seconds, samples):
    extractor = WhisperFeatureExtractor(feature_size=n_mels, chunk_length=seconds)
    speech, lengths = noise(*samples)
    before = speech.clone()
    log_mel = WhisperLogMel(n_mels, seconds * 16000)
    frames = log_mel(speech, lengths)
    torch.testing.assert_close(speech, before, rtol=0, atol=0)
    waves = [wave[:n].numpy() for wave, n in zip(speech, lengths)]
    expected = extractor(
        waves, sampling_rate=16000, return_tensors="np", return_attention_mask=True
    )
    assert frames.shape == (len(samples), n_mels, seconds * 100)
    np.testing.assert_allclose(frames, expected["input_features"], rtol=0, atol=2e-5)
    n_frames = expected["attention_mask"].sum(1).tolist()
    assert log_mel.output_lengths(lengths).tolist() == n_frames


def test_padding_beyond_the_window_is_cut(noise):
    speech, lengths = noise(3200, 1000)
    log_mel = WhisperLogMel(80, 1600)
    lengths = torch.tensor([1600, 1000])
    expected = log_mel(speech[:, :1600], lengths)
    torch.testing.assert_close(log_mel(speech, lengths), expected, rtol=0, atol=0)


def test_silence_by_hand():
    frames = WhisperLogMel(80, 1600)(torch.zeros(1, 1600), torch.tensor([1600]))
    # (log10(1e-10) + 4) / 4
    torch.testing.assert_close(frames, torch.full((1, 80, 10), -1.5))


def test_constants_are_neither_stored_nor_rounded(noise):
    speech, lengths = noise(1600)
    log_mel = WhisperLogMel(80, 1600)
    assert log_mel.state_dict() == {}
    expected = log_mel(speech, lengths)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        frames = log_mel(speech, lengths)
    torch.testing.assert_close(frames, expected, rtol=0, atol=0)
    frames = log_mel.double()(speech.double(), lengths)
    torch.testing.assert_close(frames, expected, rtol=0, atol=0)
