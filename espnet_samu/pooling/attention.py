"""Self-attention pooling."""

import torch
from typeguard import typechecked

from espnet_samu.pooling.abs_pooling import AbsPooling
from espnet_samu.utils.torch_modules import valid_mask


class AttentionPooling(AbsPooling):
    """Mean of the frames, weighted by a softmax over time with one learned vector.

    weights = softmax_t(w . h_t), e = sum_t weights_t h_t; padding has no weight.

    Reference: Safari et al., "Self-attention encoding and pooling for speaker
    recognition", arXiv 2008.01077; used in SAMU-XLSR, arXiv 2205.08180.

    Args:
        input_size: Dimension D of the frames.
    """

    @typechecked
    def __init__(self, input_size: int):
        super().__init__()
        self.query = torch.nn.Linear(input_size, 1, bias=False)

    def output_size(self) -> int:
        """Dimension D."""
        return self.query.in_features

    def forward(self, frames: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Pool (B, T, D) with lengths (B,) to (B, D)."""
        scores = self.query(frames).squeeze(-1)
        padding = valid_mask(lengths, frames.size(1)) == 0
        weights = scores.masked_fill(padding, float("-inf")).softmax(dim=1)
        return torch.einsum("bt,btd->bd", weights, frames)
