"""Contrastive loss over the sentences of a batch."""

import torch
from typeguard import typechecked

from espnet_samu.loss.abs_loss import AbsLoss
from espnet_samu.utils.distributed import gather_rows

SAME = 1 - 1e-4
"""Cosine from which two teacher embeddings are taken for the same sentence."""


class ContrastiveLoss(AbsLoss):
    """Cross entropy of retrieval inside the batch, the mean of both directions.

    Speech to text it is -log( exp(cos_ii / t) / sum_j exp(cos_ij / t) ) over the
    utterances i, where j runs over the sentences (InfoNCE); text to speech i runs over
    the sentences and j over the utterances. A sentence that occurs twice in the batch
    is not its own wrong answer. In distributed training both run over all processes,
    so that N processes compute what one process with the N-fold batch does.

    References: van den Oord et al., arXiv 1807.03748, Eq. 4; the mean of both
    directions as in Radford et al. (CLIP), arXiv 2103.00020, Fig. 3.

    Args:
        temperature: t.
        symmetric: Whether both directions count, or speech to text alone.
    """

    @typechecked
    def __init__(self, temperature: float = 0.0625, symmetric: bool = True):
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature must be positive, but got {temperature}")
        self.temperature = temperature
        self.symmetric = symmetric

    def forward(self, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Compare (B, E) with (B, E)."""
        # The teacher has no gradient: nothing to send back to the other processes.
        sentences, offset = gather_rows(teacher)
        own = slice(offset, offset + student.size(0))
        same = sentences @ sentences.T > SAME
        same.fill_diagonal_(False)
        rows = torch.arange(sentences.size(0), device=student.device)
        to_text = self._cross_entropy(student @ sentences.T, same[own], rows[own])
        if not self.symmetric:
            return to_text
        others, _ = gather_rows(student.detach())
        students = torch.cat([others[: own.start], student, others[own.stop :]])
        to_speech = self._cross_entropy(sentences @ students.T, same, rows)
        # The mean over all sentences, on every process. Its gradient reaches the
        # utterances of this process alone, where the mean over processes would make it
        # too small by their number.
        scale = len(students) / len(student)
        to_speech = to_speech.detach() + scale * (to_speech - to_speech.detach())
        return (to_text + to_speech) / 2

    def _cross_entropy(
        self, cosines: torch.Tensor, same: torch.Tensor, labels: torch.Tensor
    ) -> torch.Tensor:
        logits = (cosines / self.temperature).masked_fill(same, float("-inf"))
        return torch.nn.functional.cross_entropy(logits, labels)
