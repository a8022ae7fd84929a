"""Tests of espnet_samu.frontend.seamless_family."""

import shutil

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from transformers import (
    SeamlessM4TFeatureExtractor,
    SeamlessM4TModel,
    SeamlessM4Tv2Model,
)

from espnet_samu.frontend.samu import SamuFrontend

MODELS = {"seamless_m4t": SeamlessM4TModel, "seamless_m4t_v2": SeamlessM4Tv2Model}
family = pytest.mark.parametrize("family", MODELS)
# Kinds of attention and positions; SeamlessM4T-medium is the first, v2 the third.
VARIANTS = [
    ("seamless_m4t", {}),
    ("seamless_m4t", {"position_embeddings_type": "rotary"}),
    ("seamless_m4t_v2", {}),
    ("seamless_m4t_v2", {"add_adapter": False}),
    # chunks of 5 frames, which attend to themselves and the one before
    (
        "seamless_m4t_v2",
        {"speech_encoder_chunk_size": 5, "speech_encoder_left_chunk_num": 1},
    ),
]


@pytest.fixture
def random(build):
    """Makes a frontend whose batch norms and convolutions do something."""

    def make(family, conf=None, **kwargs):
        frontend = build(family, conf, **kwargs)
        generator = torch.Generator().manual_seed(1)
        for name, value in frontend.state_dict().items():
            if "running" in name:
                value.uniform_(0.5, 2.0, generator=generator)
            elif value.is_floating_point():
                value.normal_(0.0, 0.5, generator=generator)
        return frontend

    return make


@pytest.mark.parametrize("family, conf", VARIANTS)
@pytest.mark.parametrize("is_training", [False, True])
def test_batch_equals_alone(random, noise, family, conf, is_training):
    frontend = random(family, conf).train(is_training)
    speech, lengths = noise(9000, 16000, 4850)
    frames, out_lengths = frontend(speech, lengths)
    assert frames.shape == (3, int(out_lengths.max()), 16)
    for i, n in enumerate(lengths.tolist()):
        alone, alone_lengths = frontend(speech[i : i + 1, :n], lengths[i : i + 1])
        assert alone.size(1) == alone_lengths[0] == out_lengths[i]
        torch.testing.assert_close(
            frames[i, : out_lengths[i]], alone[0], rtol=0, atol=1e-5
        )


@pytest.mark.parametrize("family, conf", VARIANTS)
def test_equals_transformers(random, plain_model, noise, family, conf):
    frontend = random(family, conf)
    plain = plain_model(frontend)
    # 28 frames and 27; 4 to one: 28 / 4 + 1, (27 + 4 - 4) // 4 + 1
    for n, expected in ((9360, 8), (9040, 7)):
        speech, lengths = noise(n)
        extracted = SeamlessM4TFeatureExtractor()(
            speech[0].numpy(),
            sampling_rate=16000,
            return_tensors="pt",
            pad_to_multiple_of=None,
        )
        features = frontend.family.features(frontend.model, speech, lengths)
        torch.testing.assert_close(
            features, extracted.input_features, rtol=0, atol=1e-3
        )
        with torch.no_grad():
            theirs = plain(features, extracted.attention_mask).last_hidden_state
        frames, out_lengths = frontend(speech, lengths)
        has_adaptor = conf.get("add_adapter", True)
        assert out_lengths.tolist() == [expected if has_adaptor else features.size(1)]
        torch.testing.assert_close(frames, theirs, rtol=0, atol=1e-5)


def test_half_a_frame_at_the_end(random, plain_model, noise):
    """transformers' extractor pads it, and the adaptor then mixes it in."""
    frontend = random("seamless_m4t_v2")
    speech, lengths = noise(9520)  # 58 frames of 10 ms: 29 of 20 ms
    assert frontend.output_lengths(lengths).tolist() == [8]
    odd, _ = frontend(speech[:, :9360], lengths - 160)  # 57
    even, _ = frontend(speech[:, :9200], lengths - 320)  # 56
    assert odd.shape == even.shape
    inputs = SeamlessM4TFeatureExtractor()(
        speech[0, :9360].numpy(), sampling_rate=16000, return_tensors="pt"
    )
    assert inputs.attention_mask.tolist() == [[1] * 28 + [0]]
    with torch.no_grad():
        theirs = plain_model(frontend)(**inputs).last_hidden_state
    assert (theirs - odd).abs().max() > 0.1


@family
def test_checkpoint_of_the_whole_model(save, family, tmp_path):
    extractor = SeamlessM4TFeatureExtractor()
    folder, plain = save(family, extractor, MODELS[family])
    expected = plain.speech_encoder.state_dict()
    state = SamuFrontend(model=folder).model.state_dict()
    assert state.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(state[name], value), name
    first = SamuFrontend(model=folder, keep_layers=1)
    names = [name for name in expected if ".layers.1." not in name]
    assert list(first.model.state_dict()) == names
    assert torch.equal(first.model.state_dict()[names[-1]], expected[names[-1]])
    with pytest.raises(ValueError, match="keep_layers is 3, but .* has 1 to 2"):
        SamuFrontend(model=folder, keep_layers=3)
    # A missing part is named; parts of the rest are of no interest.
    file = tmp_path / "model" / "model.safetensors"
    left = {k: v for k, v in load_file(file).items() if "text_encoder" not in k}
    del left["speech_encoder.inner_layer_norm.bias"]
    save_file(left, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"1 missing \['inner_layer_norm.bias'\]"):
        SamuFrontend(model=folder)


@family
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_layer_goes_into_the_adaptor(random, plain_model, noise, family, layer):
    frontend = random(family)
    plain = plain_model(frontend)
    plain.encoder.layers = plain.encoder.layers[:layer]
    plain.encoder.layer_norm = torch.nn.Identity()
    chosen = SamuFrontend(**{**frontend.portable_conf(), "layer": layer}).eval()
    chosen.load_state_dict(frontend.state_dict())
    speech, lengths = noise(9000)
    features = frontend.family.features(frontend.model, speech, lengths)
    with torch.no_grad():
        expected = plain(features).last_hidden_state
    torch.testing.assert_close(chosen(speech, lengths)[0], expected, rtol=0, atol=1e-5)
    frozen = [n for n, p in chosen.named_parameters() if not p.requires_grad]
    assert len(frozen) == 2 + sum(f".layers.{i}." in n for n in frozen for i in (0, 1))
    assert all(f".layers.{i}." not in n for n in frozen for i in range(layer))


def test_portable(save, noise):
    folder, _ = save("seamless_m4t_v2", None, SeamlessM4Tv2Model)
    options = {"layerdrop": 0.5, "layer_mix": True, "gradient_checkpointing": True}
    first = SamuFrontend(
        model=folder, model_conf={"speech_encoder_dropout": 0.1}, **options
    )
    assert first.model.config.speech_encoder_layerdrop == 0.5
    conf = yaml.safe_load(yaml.safe_dump(first.portable_conf()))
    shutil.rmtree(folder)
    second = SamuFrontend(**conf)
    second.load_state_dict(first.state_dict())
    batch = noise(9000, 5000)
    torch.manual_seed(0)
    frames = first.train()(*batch)[0]
    torch.manual_seed(0)
    assert torch.equal(second.train()(*batch)[0], frames)
    # If all layers were dropped, all states would be the same.
    first.model.config.speech_encoder_layerdrop = 0.0
    first(*batch)[0].square().sum().backward()
    for name, parameter in first.named_parameters():
        assert not parameter.requires_grad or parameter.grad is not None, name
    assert first.state_choice.weights.grad.abs().min() > 0
    with torch.no_grad():
        assert torch.equal(second.eval()(*batch)[0], first.eval()(*batch)[0])


@pytest.mark.parametrize(
    "conf, message",
    [
        ({"num_adapter_layers": 2}, "num_adapter_layers is 2, .* rightly for 1 only"),
        ({"adaptor_stride": 2}, "adaptor_kernel_size 4 and adaptor_stride 2 transf"),
        ({"feature_projection_input_dim": 120}, "80 bins x 1 .*input_dim 120"),
        ({"mask_time_prob": 0.1}, "mask_time_prob is not a field of SeamlessM4Tv2"),
    ],
)
def test_refused(build, conf, message):
    with pytest.raises(ValueError, match=message):
        build("seamless_m4t_v2", conf)


def test_too_short(build, noise):
    frontend = build("seamless_m4t_v2")
    # Frames of 20 ms and 4 of padding at either side: one is enough.
    assert frontend(*noise(3000, 560))[1].tolist() == [3, 1]
    with pytest.raises(ValueError, match="559 samples are too short for a frame of"):
        frontend(*noise(3000, 559))
