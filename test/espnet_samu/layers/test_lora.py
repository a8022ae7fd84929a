import copy

import pytest
import torch

pytest.importorskip("peft")

from espnet_samu.layers.adapters import add_adapters  # noqa: E402
from espnet_samu.layers.lora import merge_lora  # noqa: E402
from espnet_samu.layers.trainable import set_trainable  # noqa: E402

BOTH = {
    "encoder": {"type": "lora", "size": 2, "alpha": 3},
    "decoder": {"type": "lora", "size": 2},
}


def randomize(model):
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, generator=generator)
    return model


@pytest.mark.parametrize(
    "encoder, decoder, targets",
    [
        ("wav2vec2-layer", "mbart", "attention.q_proj attention.v_proj"),
        ("hubert", "m2m_100", "attention.q_proj attention.v_proj"),
        (
            "wavlm",
            "bart",
            "feed_forward.intermediate_dense feed_forward.output_dense",
        ),
        ("wav2vec2-bert", "mbart", "self_attn.linear_q self_attn.linear_v"),
        ("whisper", "mbart", "self_attn.q_proj self_attn.v_proj"),
    ],
)
def test_names_and_outputs(make_model, noise, encoder, decoder, targets):
    model = make_model(encoder, decoder).eval()
    built = {name: p.requires_grad for name, p in model.named_parameters()}
    before, state = model(*noise(3000, 2000)), model.state_dict()
    add_adapters(model, BOTH)
    assert torch.equal(model(*noise(3000, 2000)), before)
    after = model.state_dict()
    # pre-trained names and numbers as they were
    for key, value in state.items():
        assert torch.equal(after[key], value)
    prefix = "frontend.model." + ("layers." if encoder == "whisper" else "encoder.lay")
    layers = {
        key.split(".lora_")[0] for key in after.keys() - state.keys() if prefix in key
    }
    places = {layer.rpartition("layers.")[2] for layer in layers}
    assert places == {f"{i}.{name}" for i in range(2) for name in targets.split()}
    for name, parameter in model.named_parameters():
        expected = built.get(name.replace("base_layer.", ""), True)
        assert parameter.requires_grad == expected, name
    randomize(model)(*noise(3000, 2000)).backward()
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            assert parameter.grad.any(), name


def test_by_hand(make_model):
    model = make_model()
    add_adapters(model, BOTH)
    layer = randomize(model).eval().frontend.model.encoder.layers[0].attention.q_proj
    x = torch.randn(3, 16)
    down, up = layer.lora_A.default.weight, layer.lora_B.default.weight
    assert down.shape == (2, 16) and up.shape == (16, 2)
    weight = layer.base_layer.weight + 3 / 2 * up @ down
    answer = x @ weight.T + layer.base_layer.bias
    torch.testing.assert_close(layer(x), answer)


def test_earlier_checkpoint_fills_the_weights(make_model, noise):
    """As ESPnet's load_pretrained_model does it, for a part and for the whole."""
    student = make_model()
    model = make_model()
    torch.nn.init.normal_(
        model.frontend.model.encoder.layers[0].attention.q_proj.weight
    )
    add_adapters(model, BOTH)
    state = model.frontend.state_dict()
    state.update(student.frontend.state_dict())
    model.frontend.load_state_dict(state)
    for key, value in student.frontend.state_dict().items():
        assert torch.equal(model.frontend.state_dict()[key], value)
    assert torch.equal(
        model.eval()(*noise(3000, 2000)), student.eval()(*noise(3000, 2000))
    )
    # the caller's dict is not changed
    assert state.keys() == model.frontend.state_dict().keys()
    result = model.load_state_dict(student.state_dict(), strict=False)
    assert not result.unexpected_keys
    assert all(".lora_" in key for key in result.missing_keys)


def test_round_trip_and_copy(make_model, noise):
    model = make_model().eval()
    add_adapters(model, BOTH)
    other = randomize(copy.deepcopy(model))
    answer = other(*noise(3000, 2000))
    assert not torch.equal(model(*noise(3000, 2000)), answer)
    model.load_state_dict(other.state_dict())
    assert torch.equal(model(*noise(3000, 2000)), answer)


def test_merge(make_model, noise):
    model = make_model().eval()
    keys = set(model.state_dict())
    add_adapters(model, BOTH)
    before = randomize(model)(*noise(3000, 2000))
    merge_lora(model)
    assert set(model.state_dict()) == keys
    torch.testing.assert_close(model(*noise(3000, 2000)), before)


def test_trained_and_in_training_mode(make_model):
    model = make_model()
    add_adapters(model, {"decoder": {**BOTH["decoder"], "dropout": 0.5}})
    set_trainable(model, "adapters")
    model.train()
    decoder = model.decoder.model
    trained = [n for n, p in decoder.named_parameters() if p.requires_grad]
    # two attentions of two layers, two targets, A and B
    assert len(trained) == 16 and all(".lora_" in name for name in trained)
    for name, module in decoder.named_modules():
        assert module.training == (
            ".lora_" in name and "embedding" not in name and "magnitude" not in name
        ), name
    # not asked to train the encoder's adapters, since there are none
    assert model.frontend.model.encoder.layers[0].attention.q_proj.weight.requires_grad
    set_trainable(model, [["lora_", False]])
    model.train()
    assert not any(module.training for module in decoder.modules())


def test_presets_see_the_pretrained_weights(make_model):
    model = make_model()
    add_adapters(model, BOTH)
    set_trainable(model, "lna_ed")
    attention = model.frontend.model.encoder.layers[0].attention
    assert attention.q_proj.base_layer.weight.requires_grad
    assert attention.q_proj.lora_A.default.weight.requires_grad
    set_trainable(model, [[r"attention\.q_proj\.weight$", False]])
    assert not attention.q_proj.base_layer.weight.requires_grad


@pytest.mark.parametrize(
    "encoder, targets, message",
    [
        (
            "wav2vec2-layer",
            ["query"],
            "'query' is not a .* k_proj, out_proj, output_de",
        ),
        ("wav2vec2-bert", ["linear_q", "q_proj"], "'q_proj' is not .* linear_k"),
        ("wavlm", ["q_proj"], "'q_proj' has no effect in wavlm, .* intermediate_dense"),
        ("wavlm", ["nix"], "there are gru_rel_pos_linear, intermediate_dense, output"),
        ("wav2vec2-layer", "q_proj", "targets is 'q_proj', not a list"),
        ("wav2vec2-layer", ["conv_layers.0.conv"], "is not a linear layer"),
    ],
)
def test_mistakes(make_model, encoder, targets, message):
    conf = {"type": "lora", "size": 2, "targets": targets}
    with pytest.raises(ValueError, match=message):
        add_adapters(make_model(encoder), {"encoder": conf})


def test_not_in_the_length_adaptor(make_model, speech_models):
    speech_models["wav2vec2-bert"]["add_adapter"] = True
    model = make_model("wav2vec2-bert")
    add_adapters(model, {"encoder": BOTH["encoder"]})
    assert not any(".adapter." in k and "lora_" in k for k in model.state_dict())
