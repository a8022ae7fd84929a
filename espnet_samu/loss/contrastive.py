"""Contrastive loss over the sentences of a batch."""

import torch
from typeguard import typechecked

from espnet_samu.loss.abs_loss import AbsLoss
from espnet_samu.utils.distributed import gather_rows

SAME = 1 - 1e-4
"""Cosine from which two teacher embeddings are taken for the same sentence."""


class ContrastiveLoss(AbsLoss):
    """Cross entropy of finding one's own sentence among those of the batch (InfoNCE).

    -log( exp(cos_ii / t) / sum_j exp(cos_ij / t) ), where a sentence that occurs
    twice in the batch is not its own wrong answer. In distributed training j runs
    over the sentences of all processes, so that N processes see what one process
    with the N-fold batch sees.

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
        # The teacher has no gradient: nothing to send back to the other processes.
        sentences, offset = gather_rows(teacher)
        logits = student @ sentences.T / self.temperature
        labels = offset + torch.arange(student.size(0), device=student.device)
        same = teacher @ sentences.T > SAME
        same.scatter_(1, labels[:, None], False)
        return torch.nn.functional.cross_entropy(
            logits.masked_fill(same, float("-inf")), labels
        )
