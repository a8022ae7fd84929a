"""Tests of espnet_samu.train.encoding."""

import pytest
import torch

from espnet_samu.train.encoding import UpdateCounter, encode_waveforms


class Model(UpdateCounter, torch.nn.Module):
    def __init__(self, freeze_encoder_updates):
        super().__init__()
        self.frontend = None
        self.encoder = torch.nn.Linear(1, 1)
        self.init_updates(freeze_encoder_updates)


def test_encoder_mode():
    model = Model(2)
    modes = []
    for _ in range(3):
        model.train()
        with model.encoder_mode():
            modes.append((torch.is_grad_enabled(), model.encoder.training))
        model.count_update()
    assert modes == [(False, False)] * 2 + [(True, True)]
    assert model.state_dict()["updates"] == 3
    # resumed after one update, one is left
    model.load_state_dict({**model.state_dict(), "updates": torch.tensor(1)})
    assert model.encoder_is_frozen()
    # what is not training is not frozen either
    assert not model.eval().encoder_is_frozen()
    with model.encoder_mode():
        assert torch.is_grad_enabled() and not model.encoder.training


def test_restart():
    model = Model(2)
    model.load_state_dict({**model.state_dict(), "updates": torch.tensor(5)})
    assert not model.encoder_is_frozen()
    model.restart_count()
    assert model.encoder_is_frozen() and model.updates == 0
    # a model that does not count takes what one that does has saved, and nothing else
    plain = Model(0)
    plain.load_state_dict(model.state_dict())
    plain.restart_count()
    with pytest.raises(RuntimeError, match='Unexpected .*: "other"'):
        plain.load_state_dict({**model.state_dict(), "other": torch.tensor(1)})


def test_without():
    model = Model(0)
    model.count_update()
    with model.encoder_mode():
        assert torch.is_grad_enabled() and model.encoder.training
    assert set(model.state_dict()) == {"encoder.weight", "encoder.bias"}
    with pytest.raises(ValueError, match="freeze_encoder_updates must not be .* -1"):
        Model(-1)


class ModelEncoding(UpdateCounter):
    """A frontend and an encoder that add 1 each, times a parameter."""

    def __init__(self, freeze_encoder_updates=0):
        super().__init__()
        self.frontend = Part()
        self.encoder = Encoder()
        self.init_updates(freeze_encoder_updates)


class Part(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.tensor(1.0))

    def forward(self, x, lengths):
        return self.factor * (x + 1), lengths


class Encoder(Part):
    def forward(self, x, lengths):
        return *super().forward(x, lengths), None


def half(frames, lengths):
    return frames / 2, lengths


def negative(frames, lengths):
    return -frames, lengths


@pytest.mark.parametrize("frozen", [False, True])
def test_order(frozen):
    model = ModelEncoding(1 if frozen else 0).train()
    speech, lengths = torch.tensor([[1.0, 3.0, 99.0]]), torch.tensor([2])
    frames, n = encode_waveforms(model, speech, lengths, half, negative)
    # -(1 + 1) / 2 + 1, and -(3 + 1) / 2 + 1; what is frozen is not masked
    assert frames.tolist() == ([[-1.0, -3.0]] if frozen else [[0.0, -1.0]])
    assert n is lengths
    assert frames.requires_grad is not frozen
    # nor is anything outside training
    frames, _ = encode_waveforms(model.eval(), speech, lengths, half, negative)
    assert frames.tolist() == [[-1.0, -3.0]]
    frames, _ = encode_waveforms(model, speech, lengths)
    assert frames.tolist() == [[3.0, 5.0]]
