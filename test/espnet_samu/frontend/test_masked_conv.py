import pytest
import torch

from espnet_samu.frontend.masked_conv import MaskedConv1d


def test_by_hand():
    plain = torch.nn.Conv1d(1, 1, 3, stride=2, padding=1)
    plain.weight.data = torch.ones(1, 1, 3)
    plain.bias.data = torch.zeros(1)
    conv = MaskedConv1d.take_over(plain)
    conv.lengths = torch.tensor([3, 4])
    # the 100 is padding
    values = torch.tensor([[[1.0, 2.0, 3.0, 100.0]], [[1.0, 2.0, 3.0, 4.0]]])
    # 0+1+2, 2+3+0; 0+1+2, 2+3+4
    expected = torch.tensor([[[3.0, 5.0]], [[3.0, 9.0]]])
    torch.testing.assert_close(conv(values), expected)
    assert values[0, 0, 3] == 100
    assert conv.output_lengths(conv.lengths).tolist() == [2, 2]


def test_takes_the_parameters_and_no_random_number():
    torch.manual_seed(0)
    plain = torch.nn.Conv1d(4, 6, 3, groups=2, bias=False)
    state = torch.get_rng_state()
    conv = MaskedConv1d.take_over(plain)
    assert torch.equal(torch.get_rng_state(), state)
    assert conv.weight is plain.weight and conv.bias is None
    assert conv.state_dict().keys() == plain.state_dict().keys()
    conv.lengths = torch.tensor([7])
    values = torch.randn(1, 4, 7)
    torch.testing.assert_close(conv(values), plain(values), rtol=0, atol=0)


@pytest.mark.parametrize("kernel, stride, padding", [(3, 2, 1), (5, 2, 1), (4, 3, 0)])
def test_output_lengths(kernel, stride, padding):
    conv = MaskedConv1d(1, 1, kernel, stride=stride, padding=padding)
    for n in range(4, 12):
        conv.lengths = torch.tensor([n])
        frames = conv(torch.zeros(1, 1, n)).size(2)
        assert conv.output_lengths(conv.lengths).tolist() == [frames]
