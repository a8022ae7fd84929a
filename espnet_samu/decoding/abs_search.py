"""A search for translations of encoded speech."""

from abc import ABC, abstractmethod
from typing import List, Optional

import torch

from espnet_samu.decoding.hypothesis import Hypothesis


class AbsSearch(ABC):
    """The base of the backends."""

    @abstractmethod
    def __call__(
        self,
        frames: torch.Tensor,
        lengths: torch.Tensor,
        languages: Optional[torch.Tensor] = None,
    ) -> List[List[Hypothesis]]:
        """Search for the translations of a batch.

        Args:
            frames: Encoded speech (B, T, D).
            lengths: Number of frames (B,).
            languages: Rows of the target-language tokens (B,); None: the model's own.

        Returns:
            For each utterance its n best, best first.
        """
        raise NotImplementedError
