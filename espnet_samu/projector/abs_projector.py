"""Interface of what maps a pooled vector into the teacher's space."""

from abc import ABC, abstractmethod

import torch


class AbsProjector(torch.nn.Module, ABC):
    """Pooled vector to utterance embedding."""

    @abstractmethod
    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        """Map pooled vectors (B, D) to L2-normalised embeddings (B, E)."""
        raise NotImplementedError
