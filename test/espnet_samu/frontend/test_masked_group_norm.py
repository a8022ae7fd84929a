import pytest
import torch

from espnet_samu.frontend.masked_group_norm import MaskedGroupNorm


def test_by_hand():
    norm = MaskedGroupNorm(1, 1, eps=0.0)
    norm.lengths = torch.tensor([2, 3])
    # means 2 and 3, variances 1 and 6; the 100 is padding
    values = torch.tensor([[[1.0, 3.0, 100.0]], [[0.0, 3.0, 6.0]]])
    out = norm(values)
    expected = torch.tensor([[[-1.0, 1.0]], [[-1.2247449, 0.0]]])
    torch.testing.assert_close(out[..., :2], expected)
    torch.testing.assert_close(out[1, 0, 2].item(), 1.2247449)
    assert values[0, 0, 2] == 100


def test_equals_group_norm_gradients_included():
    torch.manual_seed(0)
    plain = torch.nn.GroupNorm(4, 4, eps=1e-3)
    torch.nn.init.normal_(plain.weight)
    torch.nn.init.normal_(plain.bias)
    masked = MaskedGroupNorm.take_over(plain)
    assert masked.weight is plain.weight and masked.eps == 1e-3
    assert masked.state_dict().keys() == plain.state_dict().keys()
    values = torch.randn(2, 4, 7)
    weights = torch.randn(2, 4, 5)
    gradients = []
    for norm, width in ((plain, 5), (masked, 7)):
        masked.lengths = torch.tensor([5, 5])
        x = values[..., :width].clone().requires_grad_()
        out = norm(x)[..., :5]
        (out * weights).sum().backward()
        gradients.append((out, x.grad[..., :5], plain.weight.grad, plain.bias.grad))
        plain.zero_grad()
    for one, other in zip(*gradients):
        torch.testing.assert_close(one, other)


def test_groups_of_channels_are_refused():
    with pytest.raises(ValueError, match="2 groups of 4 channels"):
        MaskedGroupNorm.take_over(torch.nn.GroupNorm(2, 4))
