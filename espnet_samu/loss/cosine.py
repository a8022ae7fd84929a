"""Cosine loss."""

import torch
from typeguard import typechecked

from espnet_samu.loss.abs_loss import AbsLoss


class CosineLoss(AbsLoss):
    """scale * (1 - cos(student, teacher)), the mean over the batch.

    Reference: Khurana et al., "SAMU-XLSR", arXiv 2205.08180; the authors' training
    code multiplies by 100.

    Args:
        scale: Factor.
    """

    @typechecked
    def __init__(self, scale: float = 1.0):
        super().__init__()
        self.scale = scale

    def forward(self, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Compare (B, E) with (B, E)."""
        return self.scale * (1.0 - torch.cosine_similarity(student, teacher)).mean()
