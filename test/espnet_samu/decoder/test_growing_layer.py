import torch
from transformers.cache_utils import DynamicLayer

from espnet_samu.decoder.growing_layer import GrowingLayer


def test_equals_dynamic_layer():
    torch.manual_seed(0)
    ours, theirs = GrowingLayer(), DynamicLayer()
    buffers = set()
    for n in (3, 1, 1, 4, 1, 1, 1, 9, 1):
        new = torch.randn(2, 2, n, 4), torch.randn(2, 2, n, 4)
        for one, other in zip(ours.update(*new), theirs.update(*new)):
            assert torch.equal(one, other)
        assert ours.get_seq_length() == theirs.get_seq_length()
        buffers.add(ours.keys.data_ptr())
    # room for 6, 18 and 42
    assert len(buffers) == 3
