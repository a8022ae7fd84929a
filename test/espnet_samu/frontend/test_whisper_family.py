"""Tests of espnet_samu.frontend.whisper_family."""

import numpy as np
import pytest
import torch
from transformers import (
    WhisperFeatureExtractor,
    WhisperForAudioClassification,
    WhisperForConditionalGeneration,
    WhisperModel,
)
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from espnet_samu.frontend.samu import SamuFrontend
from espnet_samu.frontend.whisper_family import WhisperLogMel
from espnet_samu.utils import huggingface
from espnet_samu.utils.waveform import UnusableWaveforms


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


@pytest.mark.parametrize(
    "whole",
    [WhisperForConditionalGeneration, WhisperModel, WhisperForAudioClassification],
)
def test_encoder_of_a_whole_checkpoint(speech_models, noise, tmp_path, whole):
    torch.manual_seed(0)
    config = huggingface.load_config(None, speech_models["whisper"])
    plain = whole(config).eval()
    plain.save_pretrained(tmp_path)
    encoder = getattr(plain, "model", plain).encoder
    frontend = SamuFrontend(model=str(tmp_path)).eval()
    # the encoder and nothing of the decoder
    state = encoder.state_dict()
    assert frontend.state_dict().keys() == {f"model.{key}" for key in state}
    for key, value in state.items():
        assert torch.equal(frontend.model.state_dict()[key], value)
    assert not any("decoder" in n for n, _ in frontend.named_modules())

    # saved under the names that the encoder alone has
    frontend.model.save_pretrained(tmp_path / "encoder")
    again, info = type(encoder).from_pretrained(
        tmp_path / "encoder", output_loading_info=True
    )
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert all(torch.equal(value, state[k]) for k, value in again.state_dict().items())

    speech, lengths = noise(9999, 16000)
    extractor = WhisperFeatureExtractor(chunk_length=1)
    inputs = extractor(
        [speech[0, :9999].numpy(), speech[1].numpy()],
        sampling_rate=16000,
        return_tensors="pt",
    )
    with torch.no_grad():
        expected = encoder(inputs.input_features).last_hidden_state
    frames, out_lengths = frontend(speech, lengths)
    assert out_lengths.tolist() == [32, 50]
    torch.testing.assert_close(frames, expected, rtol=0, atol=1e-5)


def test_longer_than_the_window(build, noise):
    frontend = build("whisper")
    assert frontend(*noise(16000))[1].tolist() == [50]
    with pytest.raises(UnusableWaveforms) as info:
        frontend(*noise(3000, 16001, 0))
    assert info.value.reasons == {
        1: "16001 samples are longer than the window of whisper, 16000 samples (1 s)",
        2: "0 samples are too short for a frame of whisper",
    }


@pytest.mark.parametrize("seconds, positions", [(0.4, 20), (0.41, 21), (1, 50)])
def test_window(speech_models, noise, tmp_path, seconds, positions):
    """Transformers' own encoder on the first positions of a published model."""
    torch.manual_seed(0)
    config = huggingface.load_config(None, speech_models["whisper"])
    WhisperForConditionalGeneration(config).eval().save_pretrained(tmp_path)
    frontend = SamuFrontend(model=str(tmp_path), window_seconds=seconds).eval()
    config.max_source_positions = positions
    plain = WhisperEncoder(config).eval()
    state = WhisperModel.from_pretrained(tmp_path).encoder.state_dict()
    state["embed_positions.weight"] = state["embed_positions.weight"][:positions]
    plain.load_state_dict(state)

    speech, lengths = noise(4000, 6399)
    inputs = WhisperFeatureExtractor(chunk_length=1)(
        [speech[0, :4000].numpy(), speech[1].numpy()],
        sampling_rate=16000,
        max_length=320 * positions,
        return_tensors="pt",
    )
    with torch.no_grad():
        expected = plain(inputs.input_features).last_hidden_state
    frames, out_lengths = frontend(speech, lengths)
    assert out_lengths.tolist() == [13, 20]
    torch.testing.assert_close(frames, expected[:, :20], rtol=0, atol=1e-5)
    # a longer one beside it makes no difference
    alone, _ = frontend(speech[:1, :4000], lengths[:1])
    torch.testing.assert_close(alone[0], frames[0, :13], rtol=0, atol=1e-6)

    # what an experiment's config.yaml says rebuilds it without the folder
    again = SamuFrontend(**frontend.portable_conf()).eval()
    assert again.portable_conf() == frontend.portable_conf()
    again.load_state_dict(frontend.state_dict())
    torch.testing.assert_close(again(speech, lengths)[0], frames, rtol=0, atol=0)
    # after ESPnet's init
    torch.nn.init.zeros_(frontend.model.embed_positions.weight)
    frontend.reload_pretrained_parameters()
    torch.testing.assert_close(frontend(speech, lengths)[0], frames, rtol=0, atol=0)
    assert not frontend.model.embed_positions.weight.requires_grad


@pytest.mark.parametrize("seconds", [0, -1.0, 1.01, float("nan")])
def test_window_that_the_model_has_not(build, seconds):
    message = f"window_seconds is {seconds}, but must be more than 0 and at most 1: "
    with pytest.raises(ValueError, match=message):
        build("whisper", window_seconds=seconds)


def test_utterance_longer_than_a_shorter_window(build, noise):
    frontend = build("whisper", window_seconds=0.4)
    with pytest.raises(UnusableWaveforms, match=r"6401 .* window of .*\(0.4 s\)"):
        frontend(*noise(6401))


def test_specaugment(build, noise):
    conf = {"apply_spec_augment": True, "mask_time_prob": 0.5, "mask_time_length": 5}
    frontend = build("whisper", conf).train()
    seen = []
    frontend.model.conv1.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    speech, lengths = noise(16000, 8000)
    torch.manual_seed(0)
    frontend(speech, lengths)
    frontend.eval()(speech, lengths)
    zero = (seen[0] == 0).all(1)
    # whole frames are zero, of the utterance and not of the silence after it
    assert 20 < zero[0].sum() < 80 and zero[1, :50].sum() > 5
    assert not zero[1, 50:].any()
    torch.testing.assert_close(
        seen[0][~zero[:, None].expand_as(seen[0])],
        seen[1][~zero[:, None].expand_as(seen[1])],
    )
    assert not (seen[1] == 0).all(1).any()


@torch.no_grad()
def test_a_copy_of_the_attention_has_its_own_weights(build):
    """As DataParallel copies modules for its threads."""
    attention = build("whisper").model.layers[0].self_attn
    copied = attention._replicate_for_data_parallel()
    copied.out_proj = torch.nn.Identity()
    frames = torch.randn(2, 7, 16)
    expected = attention.out_proj(copied(frames)[0])
    torch.testing.assert_close(attention(frames)[0], expected)
    assert not torch.allclose(copied(frames)[0], expected)


def test_frames_are_laid_out_by_time(build, noise):
    frontend = build("whisper", window_seconds=0.4)
    strides = []
    frontend.model.layers[0].register_forward_pre_hook(
        lambda layer, inputs: strides.append(inputs[0].stride())
    )
    frontend(*noise(6400, 3000))
    size = frontend.output_size()
    assert strides == [(20 * size, size, 1)]
