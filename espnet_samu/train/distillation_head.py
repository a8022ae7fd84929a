"""Pooling, projector and loss of the distillation."""

import torch
from espnet2.asr.specaug.abs_specaug import AbsSpecAug
from espnet2.layers.abs_normalize import AbsNormalize
from typeguard import typechecked

from espnet_samu.loss.distillation import DistillationLoss
from espnet_samu.pooling.abs_pooling import AbsPooling
from espnet_samu.projector.abs_projector import AbsProjector


class DistillationHead(torch.nn.Module):
    """Pooling, projector and loss of a student, for a model that has its encoder.

    Its state dict has the student's names: ``pooling.*``, ``projector.*``.

    Args:
        pooling: Frames to one vector (B, D).
        projector: Vector to utterance embedding (B, E).
        loss: Compares with the teacher.
        weight: Factor of the loss beside the model's own.
        specaug: Masks the frontend's frames of this loss.
        normalize: Normalises the frontend's frames of this loss.
    """

    @typechecked
    def __init__(
        self,
        pooling: AbsPooling,
        projector: AbsProjector,
        loss: DistillationLoss,
        weight: float,
        specaug: AbsSpecAug | None = None,
        normalize: AbsNormalize | None = None,
    ):
        super().__init__()
        self.pooling = pooling
        self.projector = projector
        self.loss = loss
        self.weight = weight
        self.specaug = specaug
        self.normalize = normalize

    def forward(
        self, frames: torch.Tensor, lengths: torch.Tensor, teacher: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Compute the distillation loss.

        Args:
            frames: The encoder's (B, T, D).
            lengths: Number of frames (B,).
            teacher: Sentence embeddings (B, E), of any norm.

        Returns:
            Loss, without the weight; statistics.

        Raises:
            ValueError: The embeddings are not of the projector's size.
        """
        return self.loss(self.projector(self.pooling(frames, lengths)), teacher)
