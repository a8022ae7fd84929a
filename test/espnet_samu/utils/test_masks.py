import torch

from espnet_samu.utils.masks import valid_mask


def test_by_hand():
    mask = valid_mask(torch.tensor([2, 0, 4]), 3)
    assert mask.tolist() == [[1, 1, 0], [0, 0, 0], [1, 1, 1]]
    assert mask.dtype == torch.int64
