"""Checks and scaling of sentence embeddings."""

from collections.abc import Sequence

import numpy as np


def check_vectors(vectors: np.ndarray, texts: Sequence[str], name: str) -> None:
    """Refuse embeddings that have no direction.

    Args:
        vectors: Embeddings (N, D).
        texts: The N sentences, for the message.
        name: The teacher, for the message.

    Raises:
        ValueError: Naming teacher and sentence, when a value is NaN or infinite or
            all values of a sentence are 0.
    """
    finite = np.isfinite(vectors).all(axis=1)
    for bad, what in ((~finite, "not finite"), (~vectors.any(axis=1), "all zeros")):
        if bad.any():
            raise ValueError(
                f"teacher {name!r}: {np.count_nonzero(bad)} of {len(texts)} embeddings "
                f"are {what}, the first is that of {texts[int(bad.argmax())]!r}. If "
                "this is not float32, try --dtype float32; else the weights are broken"
            )


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Scale rows (N, D) to Euclidean length 1; no row may be all zeros."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
