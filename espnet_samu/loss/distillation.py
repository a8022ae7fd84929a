"""Loss of the distillation: a weighted sum of distances to the teacher."""

import torch
from typeguard import typechecked

from espnet_samu.loss.abs_loss import AbsLoss
from espnet_samu.loss.contrastive import SAME


class DistillationLoss(torch.nn.Module):
    """Weighted sum of distances, with statistics of similarity.

    Args:
        losses: Distances between student and teacher.
        weights: Weight of each.

    Raises:
        ValueError: They do not name the same distances, or none.
    """

    @typechecked
    def __init__(self, losses: dict[str, AbsLoss], weights: dict[str, float]):
        super().__init__()
        if not losses or set(losses) != set(weights):
            raise ValueError(
                f"loss: {sorted(losses)} and its weights {sorted(weights)} must "
                "name the same distances, at least one"
            )
        self.losses = torch.nn.ModuleDict(losses)
        self.weights = weights

    def forward(
        self, student: torch.Tensor, teacher: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Compare row by row.

        Args:
            student: Utterance embeddings (B, E), L2-normalised.
            teacher: Sentence embeddings (B, E) of any norm; normalised here.

        Returns:
            Weighted sum; without a gradient it and its parts (``loss``,
            ``loss_<name>``), the mean cosine to the right sentence and to the others of
            the batch (``cos_right``, ``cos_wrong``), R@1 in the batch (``batch_r1``).

        Raises:
            ValueError: The teacher's embeddings are not of the projector's size.
        """
        # Under ESPnet's autocast the projector gives half precision: too coarse here.
        student = student.float()
        if teacher.shape != student.shape:
            raise ValueError(
                f"the teacher's embeddings have {teacher.size(-1)} dimensions, the "
                f"projector {student.size(-1)}: set output_size in projector_conf "
                "(of projector: tanh)"
            )
        # Another tool's embeddings may not be L2-normalised; cosines are dot products.
        teacher = torch.nn.functional.normalize(teacher.to(student.dtype), dim=-1)
        # Autocast multiplies matrices in half precision: of a sentence that occurs
        # twice in the batch the second copy would count as a wrong answer.
        with torch.autocast(student.device.type, enabled=False):
            parts = {name: loss(student, teacher) for name, loss in self.losses.items()}
            total = sum(self.weights[name] * part for name, part in parts.items())
            stats = {f"loss_{name}": part.detach() for name, part in parts.items()}
            stats.update(loss=total.detach(), **_similarities(student, teacher))
        return total, stats


@torch.no_grad()
def _similarities(
    student: torch.Tensor, teacher: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Return mean cosines to the right and to other sentences, and R@1 in the batch."""
    cosine = student @ teacher.T
    right = cosine.diagonal()
    same = teacher @ teacher.T > SAME
    same.fill_diagonal_(True)
    others = max(student.size(0) - 1, 1)
    best_wrong = cosine.masked_fill(same, -2.0).amax(1)
    return {
        "cos_right": right.mean(),
        "cos_wrong": (cosine.sum(1) - right).mean() / others,
        "batch_r1": (right > best_wrong).float().mean(),
    }
