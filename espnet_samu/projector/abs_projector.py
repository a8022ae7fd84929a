"""Interface of projectors: pooled vector to the teacher's space."""

from abc import ABC, abstractmethod

import torch


class AbsProjector(torch.nn.Module, ABC):
    """Interface of a projector of a pooled vector to an utterance embedding."""

    @abstractmethod
    def output_size(self) -> int:
        """Dimension E of the embedding."""
        raise NotImplementedError

    @abstractmethod
    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        """Map pooled vectors (B, D) to L2-normalised embeddings (B, E)."""
        raise NotImplementedError
