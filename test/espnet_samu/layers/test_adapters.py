"""Tests of espnet_samu.layers.adapters."""

import copy

import pytest
import torch
from transformers.modeling_outputs import BaseModelOutput

from espnet_samu.layers.adapters import (  # noqa: E402
    Bottleneck,
    add_adapters,
    check_quantize,
    merge_lora,
    quantize_linear,
)
from espnet_samu.layers.trainable import set_trainable  # noqa: E402
from espnet_samu.speech2embedding import Speech2Embedding
from espnet_samu.speech2text import Speech2Text
from espnet_samu.utils.torch_modules import adapter_keys, has_adapters

Int8 = torch.ao.nn.quantized.dynamic.Linear

BOTH = {
    "encoder": {"type": "houlsby", "size": 3},
    "decoder": {"type": "houlsby", "size": 3},
}


def randomize(model):
    """So that bottlenecks do something."""
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, Bottleneck):
            for parameter in module.parameters():
                torch.nn.init.normal_(parameter, std=0.5, generator=generator)
    return model


def test_by_hand():
    bottleneck = Bottleneck(2, 3)
    x = torch.tensor([[1.0, -2.0], [0.5, 4.0]])
    assert torch.equal(bottleneck(x), x)
    with torch.no_grad():
        bottleneck.down.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
        bottleneck.down.bias.copy_(torch.tensor([0.0, 1.0, 0.5]))
        bottleneck.up.weight.copy_(torch.tensor([[1.0, 0.0, 2.0], [0.0, 10.0, 0.0]]))
        bottleneck.up.bias.copy_(torch.tensor([0.0, -1.0]))
    # relu([1, -1, -0.5]) = [1, 0, 0]; relu([0.5, 5, 5]) = [0.5, 5, 5]
    answer = torch.tensor([[1 + 1.0, -2 - 1.0], [0.5 + 10.5, 4 + 49.0]])
    assert torch.equal(bottleneck(x), answer)


@pytest.mark.parametrize("size, total", [(64, 132160), (128, 263296), (256, 525568)])
def test_size(size, total):
    # 0.132, 0.263 and 0.526 million
    bottleneck = Bottleneck(1024, size)
    assert sum(p.numel() for p in bottleneck.parameters()) == total


@pytest.mark.parametrize("kind, n", [("houlsby", 2), ("pfeiffer", 1)])
@pytest.mark.parametrize(
    "encoder, decoder",
    [
        ("wav2vec2-layer", "mbart"),
        ("wav2vec2-group", "m2m_100"),
        ("hubert", "bart"),
        ("wavlm", "mbart"),
        ("wav2vec2-bert", "mbart"),
        ("whisper", "mbart"),
        ("seamless_m4t_v2", "mbart"),
    ],
)
def test_nothing_changes_at_the_start(make_model, noise, encoder, decoder, kind, n):
    model = make_model(encoder, decoder).eval()
    before, state = model(*noise(3000, 2000)), model.state_dict()
    conf = {"type": kind, "size": 3}
    add_adapters(model, {"encoder": conf, "decoder": conf})
    assert torch.equal(model(*noise(3000, 2000)), before)
    new = model.state_dict().keys() - state.keys()
    # two layers on either side, weight and bias of two linear layers
    assert len(new) == 2 * 2 * n * 4 and all(".bottleneck." in key for key in new)
    assert state.keys() <= model.state_dict().keys()
    after = randomize(model)(*noise(3000, 2000))
    assert not torch.allclose(after, before)
    after.backward()
    for name, parameter in model.named_parameters():
        if "bottleneck" in name:
            assert parameter.grad is not None and parameter.grad.any(), name


def test_places(make_model):
    model = make_model()
    add_adapters(model, BOTH)
    names = {n.split(".bottleneck")[0] for n in model.state_dict() if "bottleneck" in n}
    assert names == {
        f"{prefix}.layers.{layer}.{place}"
        for prefix, places in (
            ("frontend.model.encoder", ("attention", "feed_forward")),
            ("decoder.model.model.decoder", ("self_attn", "fc2")),
        )
        for place in places
        for layer in range(2)
    }


def test_before_the_residual_connection(make_model, noise):
    """Pre-norm layer by hand: h + A(attention(norm(h))), then h + A(ffn(norm(h)))."""
    model = make_model()
    add_adapters(model, BOTH)
    layer = randomize(model).eval().frontend.model.encoder.layers[0]
    h = noise(5, 5)[0][..., None].expand(2, 5, 16) + torch.arange(16.0)
    attention, feed_forward = copy.deepcopy((layer.attention, layer.feed_forward))
    for module in (attention, feed_forward):
        module._forward_hooks.clear()
    a, f = layer.attention.bottleneck, layer.feed_forward.bottleneck
    answer = h + a(attention(layer.layer_norm(h))[0])
    answer = answer + f(feed_forward(layer.final_layer_norm(answer)))
    output = layer(h)
    output = output[0] if isinstance(output, tuple) else output
    torch.testing.assert_close(output, answer)


def test_a_copy_is_on_its_own(make_model, noise):
    model = make_model().eval()
    add_adapters(model, BOTH)
    other = copy.deepcopy(model)
    before = model(*noise(3000, 2000))
    randomize(other)
    assert torch.equal(model(*noise(3000, 2000)), before)
    assert not torch.equal(other(*noise(3000, 2000)), before)
    model.load_state_dict(other.state_dict())
    assert torch.equal(model(*noise(3000, 2000)), other(*noise(3000, 2000)))


@pytest.mark.parametrize("encoder", ["wav2vec2-layer", "wav2vec2-bert"])
@pytest.mark.parametrize("trainable", ["adapters", "lna_e"])
def test_gradient_checkpointing(make_model, speech_models, noise, encoder, trainable):
    # nothing random, whether or not the preset leaves layers in training mode
    for key in ("hidden_dropout", "attention_dropout", "activation_dropout"):
        speech_models[encoder][key] = 0.0
    speech_models[encoder].update(mask_time_prob=0.0, feat_proj_dropout=0.0)
    if encoder == "wav2vec2-bert":
        speech_models[encoder]["conformer_conv_dropout"] = 0.0
    grads, calls = [], []
    for checkpointing in (False, True):
        model = make_model(encoder, gradient_checkpointing=checkpointing)
        add_adapters(model, {"encoder": BOTH["encoder"]})
        set_trainable(randomize(model), trainable)
        model.train()
        layer = model.frontend.model.encoder.layers[0]
        bottleneck = layer.get_submodule(
            "attention" if encoder == "wav2vec2-layer" else "self_attn"
        ).bottleneck
        count = []
        bottleneck.register_forward_hook(lambda *_: count.append(1))
        model(*noise(3000, 2000)).backward()
        calls.append(len(count))
        grads.append(
            {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
        )
    # computed once more for the gradients
    assert calls == [1, 2]
    assert grads[0].keys() == grads[1].keys() and len(grads[0]) > 16
    for name, grad in grads[0].items():
        torch.testing.assert_close(grads[1][name], grad)


@pytest.mark.parametrize("decoder", ["mbart", "m2m_100"])
def test_cached_decoding(make_model, decoder):
    model = make_model(decoder=decoder)
    add_adapters(model, {"decoder": BOTH["decoder"]})
    inner = randomize(model).eval().decoder.model
    frames = torch.randn(2, 7, 24, generator=torch.Generator().manual_seed(3))
    outputs = [
        inner.generate(
            encoder_outputs=BaseModelOutput(frames),
            decoder_input_ids=torch.full((2, 1), 2),
            decoder_start_token_id=2,
            eos_token_id=2,
            pad_token_id=1,
            num_beams=2,
            max_new_tokens=8,
            min_new_tokens=8,
            use_cache=use_cache,
            output_scores=True,
            return_dict_in_generate=True,
        )
        for use_cache in (True, False)
    ]
    assert torch.equal(outputs[0].sequences, outputs[1].sequences)
    torch.testing.assert_close(outputs[0].sequences_scores, outputs[1].sequences_scores)


def test_frozen_layers_are_in_eval_mode(make_model, speech_models, mbart_conf, noise):
    speech_models["wav2vec2-layer"].update(layerdrop=0.9, hidden_dropout=0.5)
    mbart_conf["dropout"] = 0.5
    model = make_model()
    model.train()
    assert not torch.equal(model(*noise(3000, 2000)), model(*noise(3000, 2000)))
    add_adapters(model, BOTH)
    set_trainable(randomize(model), "adapters")
    model.train()
    adapters = {n for n, m in model.named_modules() if isinstance(m, Bottleneck)}
    assert len(adapters) == 8
    for name, module in model.named_modules():
        inner = ("frontend.model", "decoder.model")
        if any(f"{name}.".startswith(f"{a}.") for a in adapters):
            assert module.training, name
        elif name.startswith(inner):
            assert not module.training, name
    # so that nothing is random
    assert torch.equal(model(*noise(3000, 2000)), model(*noise(3000, 2000)))
    model.frontend.requires_grad_(False)
    model.train()
    assert not any(m.training for m in model.frontend.model.modules())
    model.eval()
    assert not any(m.training for m in model.modules())


def test_distributed_data_parallel(make_model, noise, tmp_path):
    """Two updates: DDP complains in the second of what had no gradient."""
    torch.distributed.init_process_group(
        "gloo", f"file://{tmp_path}/init", rank=0, world_size=1
    )
    try:
        grads = []
        for wrap in (lambda m: m, torch.nn.parallel.DistributedDataParallel):
            model = make_model()
            add_adapters(model, BOTH)
            set_trainable(randomize(model), "adapters")
            wrapped = wrap(model.eval())
            for _ in range(2):
                wrapped(*noise(3000, 2000)).backward()
            grads.append({n: p.grad for n, p in model.named_parameters()})
    finally:
        torch.distributed.destroy_process_group()
    for name, grad in grads[0].items():
        assert (grad is None) == (grads[1][name] is None), name
        if grad is not None:
            torch.testing.assert_close(grads[1][name], grad)


pytest.importorskip("peft")


LORA_BOTH = {
    "encoder": {"type": "lora", "size": 2, "alpha": 3},
    "decoder": {"type": "lora", "size": 2},
}


def randomize_of_lora(model):
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
    add_adapters(model, LORA_BOTH)
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
    randomize_of_lora(model)(*noise(3000, 2000)).backward()
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            assert parameter.grad.any(), name


def test_lora_by_hand(make_model):
    model = make_model()
    add_adapters(model, LORA_BOTH)
    layer = (
        randomize_of_lora(model)
        .eval()
        .frontend.model.encoder.layers[0]
        .attention.q_proj
    )
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
    add_adapters(model, LORA_BOTH)
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
    add_adapters(model, LORA_BOTH)
    other = randomize_of_lora(copy.deepcopy(model))
    answer = other(*noise(3000, 2000))
    assert not torch.equal(model(*noise(3000, 2000)), answer)
    model.load_state_dict(other.state_dict())
    assert torch.equal(model(*noise(3000, 2000)), answer)


def test_merge(make_model, noise):
    model = make_model().eval()
    keys = set(model.state_dict())
    add_adapters(model, LORA_BOTH)
    before = randomize_of_lora(model)(*noise(3000, 2000))
    merge_lora(model)
    assert set(model.state_dict()) == keys
    torch.testing.assert_close(model(*noise(3000, 2000)), before)


def test_trained_and_in_training_mode(make_model):
    model = make_model()
    add_adapters(model, {"decoder": {**LORA_BOTH["decoder"], "dropout": 0.5}})
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
    add_adapters(model, LORA_BOTH)
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
    add_adapters(model, {"encoder": LORA_BOTH["encoder"]})
    assert not any(".adapter." in k and "lora_" in k for k in model.state_dict())


HOULSBY = {"type": "houlsby", "size": 3}


@pytest.mark.parametrize(
    "adapters, message",
    [
        ({}, "{} does not name parts"),
        ("houlsby", "'houlsby' does not name parts: {encoder: {type"),
        ({"frontend": HOULSBY}, "'frontend' is not one of encoder, decoder"),
        ({"encoder": {"size": 3}}, "encoder: .* needs a 'type', one of houlsby, pfei"),
        ({"encoder": {"type": "prefix", "size": 3}}, "one of houlsby, pfeiffer, lora"),
        ({"encoder": "lora"}, "'lora' needs a 'type'"),
        (
            {"decoder": {**HOULSBY, "alpha": 1}},
            "'alpha' is not an option of houlsby: s",
        ),
        ({"decoder": {"type": "lora"}}, "decoder: size is None; 1 is the least"),
        ({"decoder": {**HOULSBY, "size": 0}}, "decoder: size is 0; 1 is the least"),
        ({"decoder": {**HOULSBY, "size": 1.5}}, "size is 1.5"),
        (
            {"decoder": {"type": "lora", "size": 2, "dropout": 1.0}},
            "dropout is 1.0; 0 <= dropout < 1",
        ),
        (
            {"decoder": {"type": "lora", "size": 2, "alpha": 0}},
            "alpha is 0; LoRA has an effect above 0 only",
        ),
    ],
)
def test_adapters_mistakes(make_model, adapters, message):
    model = make_model()
    with pytest.raises(ValueError, match=message):
        add_adapters(model, adapters)
    assert not has_adapters(model)


def test_unknown_families(make_model):
    model = make_model()
    model.decoder = torch.nn.Linear(2, 2)
    with pytest.raises(
        ValueError, match="adapters: decoder is for .*decoder is Linear"
    ):
        add_adapters(model, {"decoder": HOULSBY})
    del model.decoder
    with pytest.raises(ValueError, match="the model has no decoder; leave it out"):
        add_adapters(model, {"decoder": HOULSBY})


def test_twice(make_model):
    model = make_model()
    add_adapters(model, {"encoder": HOULSBY})
    with pytest.raises(ValueError, match="encoder: there are adapters already"):
        add_adapters(model, {"encoder": HOULSBY})
    # the conf is not changed
    assert HOULSBY == {"type": "houlsby", "size": 3}


def test_only_adapters_are_trained(make_model):
    model = make_model()
    assert adapter_keys(model) == set()
    add_adapters(
        model, {"encoder": HOULSBY, "decoder": {**HOULSBY, "type": "pfeiffer"}}
    )
    set_trainable(model, "adapters")
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    fresh = {"ctc.weight", "ctc.bias"}
    fresh |= {"decoder.linear_in.weight", "decoder.linear_in.bias"}
    assert trained == adapter_keys(model) | fresh
    assert len(adapter_keys(model)) == 2 * 2 * 4 + 2 * 4
    # with the layer norms
    model.requires_grad_(True)
    set_trainable(model, ["adapters", ["layer_?norm", True]])
    more = {n for n, p in model.named_parameters() if p.requires_grad} - trained
    assert more == {n for n, _ in model.named_parameters() if "norm" in n}


@pytest.mark.parametrize("kind", ["houlsby", "lora"])
def test_not_above_the_layer_that_is_taken(make_model, noise, kind):
    """Several GPUs would wait in vain for the gradients of what has none."""
    if kind == "lora":
        pytest.importorskip("peft")
    model = make_model(layer=1, freeze=True)
    add_adapters(model, {"encoder": {**HOULSBY, "type": kind}})
    set_trainable(model, "adapters")
    keys = adapter_keys(model)
    assert keys and all(".layers.0." in key for key in keys)
    model.train()(*noise(3000, 2000)).backward()
    for name, parameter in model.frontend.named_parameters():
        assert parameter.requires_grad == (f"frontend.{name}" in keys), name
        assert (parameter.grad is not None) == parameter.requires_grad, name


def test_translation(st_exp, in_threads):
    files = {"st_model_file": st_exp / "1epoch.pth", "beam_size": 2}
    for backend in ("generate", "beam_search"):
        options = {**files, "maxlenratio": -4, "backend": backend}
        ours, exact = (Speech2Text(**options, quantize=q) for q in (True, False))
        decoder = ours.model.decoder
        assert type(decoder.model.lm_head) is Int8
        assert type(decoder.model.model.decoder.layers[0].fc1) is Int8
        assert decoder.model.model.shared.weight.dtype == torch.float32
        speech = torch.randn(4000, generator=torch.Generator().manual_seed(0)) * 0.1
        found = ours(speech)[0]
        # near the exact ones, and not the same
        assert 0 < abs(found.score - exact(speech)[0].score) < 0.1
        for again in in_threads(ours, [speech] * 8):
            assert again[0].score == pytest.approx(found.score, abs=1e-6)


def test_embedding(samu_exp, batch, threaded_frontend):
    """Every family; WavLM reads its attention's weights itself."""
    exact = Speech2Embedding(samu_model_file=samu_exp / "1epoch.pth")
    exact.samu_model.frontend = threaded_frontend
    speech = batch[0][0, :3000]
    expected = exact(speech)
    quantize_linear(exact.samu_model)
    kinds = {type(module) for module in threaded_frontend.modules()}
    is_wavlm = threaded_frontend.model.config.model_type == "wavlm"
    assert Int8 in kinds and (torch.nn.Linear in kinds) == is_wavlm
    found = exact(speech)
    assert torch.dot(found, expected) > 0.99
    assert (found - expected).abs().max() > 1e-5


def test_options(samu_exp):
    with pytest.raises(ValueError, match="quantize: true is for device cpu and dtype"):
        check_quantize("cuda", "float32")
    with pytest.raises(ValueError, match="not cpu and bfloat16; on a GPU use dtype"):
        Speech2Embedding(
            samu_model_file=samu_exp / "1epoch.pth", dtype="bfloat16", quantize=True
        )
