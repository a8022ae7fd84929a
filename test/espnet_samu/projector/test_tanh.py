import torch

from espnet_samu.projector.tanh import TanhProjector


def test_by_hand():
    projector = TanhProjector(input_size=2, output_size=3)
    with torch.no_grad():
        weight = [[0.5493061, 0.0], [0.0, 0.5493061], [0.0, 0.0]]
        projector.linear.weight.copy_(torch.tensor(weight))
        projector.linear.bias.copy_(torch.tensor([0.0, 0.0, 0.5493061]))
    # atanh(0.5) = 0.5493061: the vectors before normalisation are
    # (0.5, 0, 0.5) and (-0.5, 0.8, 0.5), since tanh(2 atanh(0.5)) = 0.8
    pooled = torch.tensor([[1.0, 0.0], [-1.0, 2.0]])
    expected = torch.tensor(
        [[0.7071068, 0.0, 0.7071068], [-0.4682929, 0.7492686, 0.4682929]]
    )
    out = projector(pooled)
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(out.norm(dim=1), torch.ones(2))
