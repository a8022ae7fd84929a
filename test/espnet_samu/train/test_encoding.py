import pytest
import torch

from espnet_samu.train.encoding import encode_waveforms
from espnet_samu.train.update_counter import UpdateCounter


class Model(UpdateCounter):
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
    model = Model(1 if frozen else 0).train()
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
