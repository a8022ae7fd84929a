"""Interface of sentence encoders."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np


class AbsSentenceEncoder(ABC):
    """Interface of a sentence encoder: sentences to vectors."""

    @property
    @abstractmethod
    def dimension(self) -> int:
        """Size D of an embedding."""

    @property
    @abstractmethod
    def commits(self) -> list[str | None]:
        """Commit on the hub of every model inside; None for a local folder."""

    @property
    @abstractmethod
    def prompts(self) -> list[str]:
        """Text put before every sentence, for every model inside; "" for none."""

    @abstractmethod
    def truncated(self, texts: Sequence[str]) -> dict[str, int]:
        """Return the sentences longer than a model inside can read.

        Args:
            texts: Distinct sentences.

        Returns:
            Number of tokens that are read of each of them, the rest being cut off.
        """

    @abstractmethod
    def encode(
        self, texts: Sequence[str], on_batch: Callable[[int], object] | None = None
    ) -> np.ndarray:
        """Return embeddings; a repeated sentence is computed once.

        Args:
            texts: N sentences.
            on_batch: Called after every batch with its number of sentences.

        Returns:
            Embeddings (N, D), float32, in the order of ``texts``.

        Raises:
            ValueError: Naming a sentence whose embedding is not finite or zero.
        """
