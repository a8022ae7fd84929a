"""Tests of espnet_samu.decoder.prefix_cache."""

import torch
from transformers.cache_utils import DynamicLayer

from espnet_samu.decoder.prefix_cache import GrowingLayer, PrefixTree, _slots
from espnet_samu.decoder.pretrained import build_decoder, load_decoder_config


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


def test_slots_by_hand():
    # two hypotheses of each, in order: nothing to move
    assert _slots([0, 0, 1, 1], 2) == (None, 2)
    assert _slots([0], 1) == (None, 1)
    # utterance 1 has none, utterance 2 two that do not stand together
    assert _slots([2, 0, 2], 3) == ([4, 0, 5], 2)


def test_masks_by_hand(folder):
    decoder = build_decoder(folder, load_decoder_config(30, folder, {})).eval()
    tree = PrefixTree(decoder.model.decoder, torch.randn(1, 3, 16))
    nothing = torch.zeros(2, 0, dtype=torch.bool)
    with torch.no_grad():
        # two hypotheses of two tokens
        tokens = torch.tensor([[2, 5], [2, 6]])
        hidden, own = tree.read(tokens, 0, nothing, [0, 0])
        assert own.int().tolist() == [[1, 1, 0, 0], [0, 0, 1, 1]]
        # both go on from the second one
        tokens = torch.tensor([[7], [8]])
        hidden, own = tree.read(tokens, 2, own[[1, 1]], [0, 0])
        assert own.int().tolist() == [[0, 0, 1, 1, 1, 0], [0, 0, 1, 1, 0, 1]]
        assert tree.cache.get_seq_length() == 6
        assert tree.cache.cross_attention_cache.get_seq_length() == 3
        whole = decoder.model.decoder(
            input_ids=torch.tensor([[2, 6, 7], [2, 6, 8]]),
            encoder_hidden_states=tree.frames.expand(2, -1, -1),
            use_cache=False,
        ).last_hidden_state[:, -1]
    torch.testing.assert_close(hidden, whole, rtol=0, atol=1e-5)
