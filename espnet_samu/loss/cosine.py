"""Cosine loss."""

import torch
from typeguard import typechecked

from espnet_samu.loss.abs_loss import AbsLoss


class CosineLoss(AbsLoss):
    """loss_scale * (1 - cos(student, teacher)), the mean over the batch.

    Reference: Khurana et al., "SAMU-XLSR", arXiv 2205.08180.

    Args:
        loss_scale: Factor; 100 in the authors' training code. Adam undoes it,
            gradient clipping does not.
    """

    @typechecked
    def __init__(self, loss_scale: float = 1.0):
        super().__init__()
        self.loss_scale = loss_scale

    def forward(self, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Compare (B, E) with (B, E)."""
        distance = 1.0 - torch.cosine_similarity(student, teacher)
        return self.loss_scale * distance.mean()
