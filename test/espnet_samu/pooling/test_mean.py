import pytest
import torch

from espnet_samu.pooling.mean import MeanPooling

FRAMES = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [99.0, -99.0]], [[4.0, 0.0]] * 3])


def test_by_hand():
    pooling = MeanPooling(input_size=2)
    assert pooling.output_size() == 2
    pooled = pooling(FRAMES, torch.tensor([2, 3]))
    torch.testing.assert_close(pooled, torch.tensor([[2.0, 4.0], [4.0, 0.0]]))


@pytest.mark.parametrize("is_cast", [True, False])
def test_sum_beyond_float16(is_cast):
    """1,500 frames of 100: a sum of 150,000, in a float16 model and by autocast."""
    frames = torch.full((1, 1500, 2), 100.0)
    frames = frames.half() if is_cast else frames
    with torch.autocast("cpu", dtype=torch.float16, enabled=not is_cast):
        pooled = MeanPooling(input_size=2)(frames, torch.tensor([1500]))
    assert pooled.tolist()[0] == pytest.approx([100.0] * 2, rel=1e-3)
