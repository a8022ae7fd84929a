"""Interface of the distances between student and teacher embeddings."""

from abc import ABC, abstractmethod

import torch


class AbsLoss(torch.nn.Module, ABC):
    """Interface of a distance between student and teacher, averaged over the batch."""

    @abstractmethod
    def forward(self, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Compare row by row.

        Args:
            student: Utterance embeddings (B, E), L2-normalised.
            teacher: Sentence embeddings (B, E), L2-normalised.

        Returns:
            Scalar, the mean over the batch.
        """
        raise NotImplementedError
