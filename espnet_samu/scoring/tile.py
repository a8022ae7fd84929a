"""Cosines of some queries to some candidates."""

import dataclasses

import numpy as np

from espnet_samu.scoring.unit_vectors import DECIMALS, UnitVectors, pair_cosines

UNIT_ROUNDOFF = 2.0**-24
"""Of single precision."""


@dataclasses.dataclass(frozen=True)
class Tile:
    """A part of the N x M cosines: in single precision, and exactly where asked.

    Sums of D products of unit vectors, each rounded to single precision, are off by at
    most D times the unit roundoff in whatever order they are taken (Higham, "Accuracy
    and Stability of Numerical Algorithms", Sec. 3.1, and Cauchy-Schwarz). What that
    cannot decide is looked up with `pairs` or `exact`.
    """

    similarity: np.ndarray
    """Cosines in single precision (R, C)."""
    queries: UnitVectors
    """All N queries."""
    pool: UnitVectors
    """All M candidates."""
    rows: slice
    """The R queries of this tile, with start and stop."""
    columns: slice
    """The C candidates of this tile, with start and stop."""

    @classmethod
    def compute(
        cls, queries: UnitVectors, pool: UnitVectors, rows: slice, columns: slice
    ) -> "Tile":
        """Compute the tile of `rows` and `columns`."""
        similarity = queries.single(rows) @ pool.single(columns).T
        return cls(similarity, queries, pool, rows, columns)

    @property
    def T(self) -> "Tile":  # noqa: N802, numpy's name
        """The same tile with candidates as queries."""
        return Tile(self.similarity.T, self.pool, self.queries, self.columns, self.rows)

    @property
    def noise(self) -> float:
        """How far `similarity` may be from the cosine (8: scaling and thresholds)."""
        return (self.queries.size + 8) * UNIT_ROUNDOFF

    def pairs(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Return exact cosines (P,) at places `i`, `j` of the tile."""
        return pair_cosines(
            self.queries, self.pool, i + self.rows.start, j + self.columns.start
        )

    def exact(self) -> np.ndarray:
        """Return all cosines of the tile in double precision, rounded, (R, C)."""
        cosines = self.queries.double(self.rows) @ self.pool.double(self.columns).T
        return np.round(cosines, DECIMALS)
