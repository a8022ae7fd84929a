"""Mean squared error."""

import torch

from espnet_samu.loss.abs_loss import AbsLoss


class MSELoss(AbsLoss):
    """Mean over batch and dimensions of (student - teacher)^2.

    Between L2-normalised vectors it is 2 / E * (1 - cos): another scale than
    ``cosine``, not another optimum.
    """

    def forward(self, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Compare (B, E) with (B, E)."""
        return torch.nn.functional.mse_loss(student, teacher)
