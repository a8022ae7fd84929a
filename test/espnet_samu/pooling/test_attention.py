import pytest
import torch

from espnet_samu.pooling.attention import AttentionPooling

# The second utterance has one frame; the others would win if padding leaked.
FRAMES = torch.tensor(
    [[[0.0, 1.0], [1.0, 3.0], [2.0, 5.0]], [[4.0, 2.0], [50.0, 9.0], [90.0, 9.0]]]
)
LENGTHS = torch.tensor([3, 1])


def test_by_hand():
    pooling = AttentionPooling(input_size=2)
    assert pooling.output_size() == 2
    assert pooling.state_dict().keys() == {"query.weight"}
    with torch.no_grad():
        # scores 0, ln 2, 2 ln 2: weights 1/7, 2/7, 4/7
        pooling.query.weight.copy_(torch.tensor([[0.6931472, 0.0]]))
    # (0 + 2 + 8) / 7 and (1 + 6 + 20) / 7
    expected = torch.tensor([[10 / 7, 27 / 7], [4.0, 2.0]])
    torch.testing.assert_close(pooling(FRAMES, LENGTHS), expected)
    with torch.no_grad():
        pooling.query.weight.zero_()
    # the plain mean
    expected = torch.tensor([[1.0, 3.0], [4.0, 2.0]])
    torch.testing.assert_close(pooling(FRAMES, LENGTHS), expected)


def test_padding_has_no_gradient():
    torch.manual_seed(0)
    pooling = AttentionPooling(input_size=2)
    frames = FRAMES.clone().requires_grad_()
    pooling(frames, LENGTHS).sum().backward()
    assert frames.grad[1, 1:].abs().max() == 0
    assert frames.grad[1, 0].tolist() == [1, 1]
    assert frames.grad[0].abs().min() > 0


@pytest.mark.parametrize("padding", [0, 4])
def test_batch_equals_alone(padding):
    torch.manual_seed(0)
    pooling = AttentionPooling(input_size=2)
    frames = torch.nn.functional.pad(FRAMES, (0, 0, 0, padding), value=7.0)
    batch = pooling(frames, LENGTHS)
    for i, n in enumerate(LENGTHS):
        alone = pooling(FRAMES[i : i + 1, :n], LENGTHS[i : i + 1])
        torch.testing.assert_close(batch[i], alone[0], rtol=0, atol=1e-6)
