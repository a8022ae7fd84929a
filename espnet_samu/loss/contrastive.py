"""Contrastive loss over the sentences of a batch."""

import torch
from typeguard import typechecked

from espnet_samu.loss.abs_loss import AbsLoss

SAME = 1 - 1e-4
"""Cosine from which two teacher embeddings are taken for the same sentence."""


class ContrastiveLoss(AbsLoss):
    """Cross entropy of finding one's own sentence among those of the batch (InfoNCE).

    -log( exp(cos_ii / t) / sum_j exp(cos_ij / t) ), where a sentence that occurs
    twice in the batch is not its own wrong answer.

    Reference: van den Oord et al., arXiv 1807.03748, Eq. 4.

    Args:
        temperature: t.
    """

    @typechecked
    def __init__(self, temperature: float = 0.0625):
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature must be positive, but got {temperature}")
        self.temperature = temperature

    def forward(self, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Compare (B, E) with (B, E)."""
        logits = student @ teacher.T / self.temperature
        same = teacher @ teacher.T > SAME
        same.fill_diagonal_(False)
        labels = torch.arange(student.size(0), device=student.device)
        return torch.nn.functional.cross_entropy(
            logits.masked_fill(same, float("-inf")), labels
        )
