"""Mean squared error."""

import torch

from espnet_samu.loss.abs_loss import AbsLoss


class MSELoss(AbsLoss):
    """Mean over batch and dimensions of (student - teacher)^2.

    Between vectors of length 1 it is 2 / E * (1 - cos): next to ``cosine`` it is
    another scale, not another optimum.
    """

    def forward(self, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Compare (B, E) with (B, E)."""
        return torch.nn.functional.mse_loss(student, teacher)
