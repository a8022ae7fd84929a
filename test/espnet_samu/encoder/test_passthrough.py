import torch

from espnet_samu.encoder.passthrough import PassthroughEncoder


def test_returns_its_arguments():
    encoder = PassthroughEncoder(input_size=3)
    frames = torch.arange(12.0).reshape(2, 2, 3)
    lengths = torch.tensor([2, 1])
    out, out_lengths, states = encoder(frames, lengths)
    assert out is frames and out_lengths is lengths and states is None
    assert encoder.output_size() == 3
    assert not list(encoder.parameters())
