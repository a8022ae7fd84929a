import pytest
import torch
from transformers import M2M100Config
from transformers.models.m2m_100.modeling_m2m_100 import (
    M2M100SinusoidalPositionalEmbedding,
)

from espnet_samu.decoder.token_positions import TokenPositions


@pytest.mark.parametrize("pad", [0, 1, 3])
def test_equals_transformers(pad):
    config = M2M100Config(d_model=8, max_position_embeddings=6, pad_token_id=pad)
    ours = TokenPositions(config)
    theirs = M2M100SinusoidalPositionalEmbedding(6, 8, pad)
    tokens = torch.tensor([[7, 8, 7, 9, 7, 7]])
    expected = theirs(tokens)
    assert torch.equal(ours(tokens), expected)
    assert torch.equal(ours(None, torch.zeros(1, 6, 8)), expected)
    assert torch.equal(ours(tokens[:, :2], past_key_values_length=3), expected[:, 3:5])
    positions = torch.tensor([4, 0, 4])
    assert torch.equal(ours(position_ids=positions), expected[:, positions])
    # padding is counted as any token is
    tokens[0, 1:3] = pad
    assert torch.equal(ours(tokens), expected)
    assert not torch.equal(theirs(tokens), expected)
