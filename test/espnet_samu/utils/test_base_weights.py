"""Tests of espnet_samu.utils.base_weights."""

import pytest
import torch

from espnet_samu.utils.base_weights import (
    checksum,
    frozen_weights,
    leave_out,
    load_base,
    save_base,
)


@pytest.fixture
def make_model():
    """Makes a frozen embedding with a tied output layer, and a trained layer."""

    def make(seed=0):
        torch.manual_seed(seed)
        model = torch.nn.ModuleDict(
            {
                "embed": torch.nn.Embedding(3, 2),
                "body": torch.nn.BatchNorm1d(2),
                "out": torch.nn.Linear(2, 3, bias=False),
            }
        )
        model["out"].weight = model["embed"].weight
        model["embed"].requires_grad_(False)
        return model

    return make


def test_checksum():
    weights = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([[3]])}
    # sha256 of 'a a torch.float32 [2]\n', 2 floats, 'b b torch.int64 [1, 1]\n', 1 int
    answer = "63aa9376bef624faecd38690e97d87ff25266d1085ba99f4f4baa26d4e75531a"
    assert checksum(weights) == answer
    assert checksum(dict(reversed(weights.items()))) == answer
    for other in (
        {"a": weights["a"], "c": weights["b"]},
        {"a": weights["a"], "b": torch.tensor([[4]])},
        {"a": weights["a"], "b": torch.tensor([3])},
        {"a": weights["a"].double(), "b": weights["b"]},
        {"a": weights["a"], "b": weights["b"], "c": weights["a"]},
    ):
        assert checksum(other) != answer


def test_round_trip(make_model, tmp_path):
    model = make_model()
    weights = frozen_weights(model)
    assert weights.keys() == {"embed.weight", "out.weight"}
    save_base(weights, tmp_path / "base.pth")
    leave_out(model, frozenset(weights))
    with torch.no_grad():
        model["body"].weight.fill_(5.0)
    state = model.state_dict()
    assert state.keys() == {
        f"body.{name}"
        for name in (
            "weight",
            "bias",
            "running_mean",
            "running_var",
            "num_batches_tracked",
        )
    }
    # resuming
    model.load_state_dict(state)
    with pytest.raises(RuntimeError, match='Missing .*: "body.bias". $'):
        model.load_state_dict({k: v for k, v in state.items() if k != "body.bias"})
    # loading
    other = make_model(1)
    load_base(other, tmp_path / "base.pth", checksum(weights))
    other.load_state_dict(state)
    assert torch.equal(other["embed"].weight, model["embed"].weight)
    assert other["out"].weight is other["embed"].weight
    assert other["body"].weight.tolist() == [5.0, 5.0]
    assert len(other.state_dict()) == 7


def test_missing_and_other_file(make_model, tmp_path):
    model = make_model()
    weights = frozen_weights(model)
    with pytest.raises(FileNotFoundError, match="base.pth is missing: checkpoints"):
        load_base(model, tmp_path / "base.pth", "0" * 64)
    save_base(weights, tmp_path / "base.pth")
    with pytest.raises(ValueError, match="config.yaml says 000000000000..."):
        load_base(model, tmp_path / "base.pth", "0" * 64)
    with pytest.raises(ValueError, match="2 unexpected .'embed.weight', 'out.weight'"):
        load_base(model["body"], tmp_path / "base.pth", checksum(weights))
