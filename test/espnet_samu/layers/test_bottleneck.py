import copy

import pytest
import torch
from transformers.modeling_outputs import BaseModelOutput

from espnet_samu.layers.adapters import add_adapters
from espnet_samu.layers.bottleneck import Bottleneck
from espnet_samu.layers.trainable import set_trainable

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
