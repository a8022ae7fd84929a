"""Vectors scaled to length 1, made when they are asked for."""

from collections.abc import Sequence

import numpy as np
from typeguard import typechecked

PAIRS = 64
"""Pairs of vectors looked at together: 0.4 MB a side for D = 768 stay in the cache."""
DECIMALS = 12
"""Cosines are equal when they agree in that many decimals, so that two equal vectors
are equally near whatever order a sum of products was taken in."""


class UnitVectors:
    """The rows of a table, scaled to length 1.

    The table itself stays as it is: a scaled copy in double precision would be twice
    as large, and one in single precision could not decide between near neighbours.

    Args:
        vectors: Array (N, D), single or double precision.
        names: Name of every row, for messages; its number by default.
        label: What the rows are, for messages.

    Raises:
        ValueError: For an array that is not (N, D), and naming the first row that is
            zero or not finite.
    """

    @typechecked
    def __init__(
        self,
        vectors: np.ndarray,
        names: Sequence[str] | None = None,
        label: str = "vectors",
    ):
        if vectors.ndim != 2:
            raise ValueError(f"{label} must be (N, D): shape {vectors.shape}")
        squares = np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64)
        wrong = np.flatnonzero(~(np.isfinite(squares) & (squares > 0)))
        if len(wrong):
            name = f"row {wrong[0]}" if names is None else f"'{names[wrong[0]]}'"
            raise ValueError(
                f"{label} must be finite and not zero: {name} has length "
                f"{np.sqrt(squares[wrong[0]])} ({len(wrong)} of {len(vectors)} such)"
            )
        self.vectors = vectors
        self.lengths = np.sqrt(squares)[:, None]

    def __len__(self) -> int:
        """Return N."""
        return len(self.vectors)

    @property
    def size(self) -> int:
        """D."""
        return self.vectors.shape[1]

    def single(self, rows: slice) -> np.ndarray:
        """Return rows in single precision."""
        scale = (1 / self.lengths[rows]).astype(np.float32)
        return self.vectors[rows].astype(np.float32, copy=False) * scale

    def double(self, rows: slice | np.ndarray) -> np.ndarray:
        """Return rows in double precision."""
        return self.vectors[rows] / self.lengths[rows]


def pair_cosines(
    a: UnitVectors, b: UnitVectors, i: np.ndarray, j: np.ndarray
) -> np.ndarray:
    """Return cosines of pairs in double precision, rounded to `DECIMALS`.

    Args:
        a: N vectors (D,).
        b: M vectors (D,).
        i: Row in `a` of every pair (P,).
        j: Row in `b` of every pair (P,).

    Returns:
        Cosines (P,).
    """
    rows, at_row = np.unique(i, return_inverse=True)
    columns, at_column = np.unique(j, return_inverse=True)
    if len(rows) * len(columns) <= 4 * len(i):  # (nearly) all of a small table
        table = a.double(rows) @ b.double(columns).T
        return np.round(table[at_row, at_column], DECIMALS)
    cosines = np.empty(len(i))
    for start in range(0, len(i), PAIRS):
        part = slice(start, start + PAIRS)
        cosines[part] = np.vecdot(
            a.vectors[i[part]].astype(np.float64), b.vectors[j[part]].astype(np.float64)
        )
    return np.round(cosines / (a.lengths[i, 0] * b.lengths[j, 0]), DECIMALS)
