import pytest
import torch

from espnet_samu.layers.adapter_mark import adapter_keys, has_adapters
from espnet_samu.layers.adapters import add_adapters
from espnet_samu.layers.trainable import set_trainable

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
    ],
)
def test_mistakes(make_model, adapters, message):
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
