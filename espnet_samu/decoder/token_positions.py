"""Sinusoidal position vectors that count every token."""

from typing import Optional

import torch
from transformers.models.m2m_100.modeling_m2m_100 import (
    M2M100SinusoidalPositionalEmbedding,
)


class TokenPositions(M2M100SinusoidalPositionalEmbedding):
    """M2M-100's position vectors, called as mBART's are.

    transformers' own do not count padding and know it by its token id: a hypothesis
    with that token in it would get other positions read at once than read step by
    step. Here position n is the n-th token, whatever it is.

    Args:
        config: An ``M2M100Config``.
    """

    def __init__(self, config):
        # The vector of the first token follows that of the padding, and the table of
        # transformers has room for a padding_idx of 1.
        extra = max(0, config.pad_token_id - 1)
        super().__init__(
            config.max_position_embeddings + extra, config.d_model, config.pad_token_id
        )

    def forward(
        self,
        input_ids: Optional[torch.Tensor] = None,
        inputs_embeds: Optional[torch.Tensor] = None,
        past_key_values_length: int = 0,
        position_ids: Optional[torch.Tensor] = None,
    ) -> torch.Tensor:
        """Vectors (1, L, D) of the positions (L,), or of those after the past ones."""
        if position_ids is None:
            tokens = inputs_embeds if input_ids is None else input_ids
            length = tokens.size(1)
            position_ids = torch.arange(length, device=tokens.device)
            position_ids = position_ids + past_key_values_length
        return self.weights[position_ids + self.padding_idx + 1][None]
