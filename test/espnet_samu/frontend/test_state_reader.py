import pytest
import torch

from espnet_samu.frontend.state_reader import StateReader


def state(value):
    return torch.full((1, 2, 1), float(value))


def read(weights, layers, output, **kwargs):
    """Sum over states of three layers; layers: index -> value that comes out."""
    reader = StateReader(weights, **kwargs)
    before = 1.0
    for index, after in layers.items():
        reader.read(index, state(before), state(after))
        before = after
    return reader.finish(state(output)).flatten()[0].item()


@pytest.mark.parametrize(
    "layers, states",
    [
        ({0: 10, 1: 20, 2: 30}, (1, 10, 20, 30)),
        ({1: 20, 2: 30}, (1, 1, 20, 30)),
        ({0: 10, 2: 30}, (1, 10, 10, 30)),
        ({0: 10, 1: 20}, (1, 10, 20, 20)),
        ({2: 30}, (1, 1, 1, 30)),
        ({0: 10}, (1, 10, 10, 10)),
        ({}, (77, 77, 77, 77)),
    ],
)
def test_skipped_layers(layers, states):
    for index, expected in enumerate(states):
        weights = [None] * 4
        weights[index] = 1.0
        assert read(weights, layers, 77) == expected
        # the last state is the output
        expected = 77 if index == 3 else expected
        assert read(weights, layers, 77, last_is_output=True) == expected


def test_weights():
    weights = list(torch.tensor([0.5, 0.25, 0.125, 0.125]))
    layers = {0: 8, 1: 16, 2: 24}
    assert read(weights, layers, 99) == 0.5 + 2 + 2 + 3
    assert read(weights, layers, 32, last_is_output=True) == 0.5 + 2 + 2 + 4


def test_normalize():
    reader = StateReader(list(torch.tensor([0.25, 0.75])), normalize=True)
    reader.read(0, torch.tensor([[[1.0, 3.0]]]), torch.tensor([[[900.0, 100.0]]]))
    # layer norm makes (-1, 1) of the first and (1, -1) of the second
    expected = torch.tensor([[[0.5, -0.5]]])
    torch.testing.assert_close(reader.finish(torch.empty(0)), expected)
