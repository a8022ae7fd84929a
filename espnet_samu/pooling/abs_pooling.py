"""Interface of poolings: frames to one vector."""

from abc import ABC, abstractmethod

import torch


class AbsPooling(torch.nn.Module, ABC):
    """Interface of a pooling of frames to one vector."""

    @abstractmethod
    def output_size(self) -> int:
        """Dimension of the vector."""
        raise NotImplementedError

    @abstractmethod
    def forward(self, frames: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Pool the frames that are not padding.

        Args:
            frames: (B, T, D).
            lengths: Number of frames (B,), the encoder's own.

        Returns:
            One vector for each utterance (B, D).
        """
        raise NotImplementedError
