"""What a search finds."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Neighbours:
    """What `search` finds for N queries in a pool."""

    rank: np.ndarray
    """Rank of the nearest right candidate, from 1; 0 without one; `(N,)`."""
    index: np.ndarray
    """The k nearest candidates, nearest first, `(N, k)`."""
    cosine: np.ndarray
    """Cosines to those candidates, `(N, k)`."""
