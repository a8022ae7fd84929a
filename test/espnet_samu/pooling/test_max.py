import torch

from espnet_samu.pooling.max import MaxPooling

FRAMES = torch.tensor([[[-1.0, -2.0], [-3.0, 6.0], [99.0, 99.0]], [[4.0, 0.0]] * 3])


def test_by_hand():
    pooling = MaxPooling(input_size=2)
    assert pooling.output_size() == 2
    pooled = pooling(FRAMES, torch.tensor([2, 3]))
    torch.testing.assert_close(pooled, torch.tensor([[-1.0, 6.0], [4.0, 0.0]]))
