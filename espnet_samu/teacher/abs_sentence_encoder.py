"""What computes sentence embeddings."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np


class AbsSentenceEncoder(ABC):
    """Maps sentences to vectors."""

    @property
    @abstractmethod
    def dimension(self) -> int:
        """Size D of an embedding."""

    @property
    @abstractmethod
    def commits(self) -> list[str | None]:
        """Commit on the hub of every model inside; None for a local folder."""

    @abstractmethod
    def encode(
        self, texts: Sequence[str], on_batch: Callable[[int], object] | None = None
    ) -> np.ndarray:
        """Embed sentences; a sentence that occurs twice is run once.

        Args:
            texts: N sentences.
            on_batch: Called after every batch with its number of sentences.

        Returns:
            Embeddings (N, D), float32, in the order of `texts`.

        Raises:
            ValueError: Naming a sentence whose embedding is not finite or zero.
        """
