"""Nearest neighbours by cosine: exact ranks, exact ties, in bounded memory."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from typeguard import typechecked


@dataclasses.dataclass(frozen=True)
class Neighbours:
    """What `search` finds for N queries in a pool."""

    rank: np.ndarray
    """Rank of the nearest right candidate, from 1; 0 without one; `(N,)`."""
    index: np.ndarray
    """The k nearest candidates, nearest first, `(N, k)`."""
    cosine: np.ndarray
    """Cosines to those candidates, `(N, k)`."""


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


DENSE = 1 / 32
"""Share of a tile from which it is quicker to look at the whole tile."""
GROUPS = 16
"""Groups of candidates for every neighbour, to guess how near the k-th one is."""


def positions(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns where a mask (R, C), in either memory order, is true."""
    if not mask.flags.c_contiguous:
        return positions(mask.T)[::-1]
    rows, columns = np.divmod(np.flatnonzero(mask), mask.shape[1])
    return rows, columns


def is_dense(mask: np.ndarray) -> bool:
    """Return whether so much of a mask is true that single places do not pay."""
    return bool(np.count_nonzero(mask) > DENSE * mask.size)


class Ranking:
    """Ranks of the nearest right candidate and k nearest candidates of N queries.

    Tiles of the same queries must come in the order of their candidates.

    Args:
        best: Cosine to the nearest right candidate (N,), rounded as those of a `Tile`;
            infinite for a query without one.
        texts: Number of each query's text (N,).
        candidate_texts: Number of each candidate's text (M,).
        k: Neighbours to keep, at most M.
    """

    @typechecked
    def __init__(
        self,
        best: np.ndarray,
        texts: np.ndarray,
        candidate_texts: np.ndarray,
        k: int,
    ):
        self.best = best
        self.texts = texts
        self.candidate_texts = candidate_texts
        self.k = k
        self.rank = np.isfinite(best).astype(np.int64)
        self.index = np.full((len(best), k), -1)
        self.cosine = np.full((len(best), k), -np.inf)

    def update(self, tile: Tile) -> None:
        """Take in the next tile."""
        self._update_rank(tile)
        if self.k:
            self._update_nearest(tile)

    def result(self) -> Neighbours:
        """Return what was gathered."""
        return Neighbours(self.rank, self.index, self.cosine)

    def _update_rank(self, tile: Tile) -> None:
        """Count wrong candidates that are at least as near as the right one."""
        best, texts = self.best[tile.rows], self.texts[tile.rows]
        candidate_texts = self.candidate_texts[tile.columns]
        rank = self.rank[tile.rows]  # a view
        low = (best - tile.noise).astype(np.float32)
        high = (best + tile.noise).astype(np.float32)
        mask = tile.similarity >= low[:, None]
        if is_dense(mask):
            # Right candidates are never nearer than the nearest right one.
            nearer = tile.similarity > high[:, None]
            mask ^= nearer
            if is_dense(mask):
                nearer = tile.exact() >= best[:, None]
                nearer &= texts[:, None] != candidate_texts
                mask[:] = False
            rank += np.count_nonzero(nearer, axis=1)
        i, j = positions(mask)
        nearer = tile.similarity[i, j] > high[i]
        unsure = np.flatnonzero(~nearer & (texts[i] != candidate_texts[j]))
        nearer[unsure] = tile.pairs(i[unsure], j[unsure]) >= best[i[unsure]]
        rank += np.bincount(i[nearer], minlength=len(best))

    def _update_nearest(self, tile: Tile) -> None:
        """Merge the k nearest so far with those of the tile."""
        worst = self.cosine[tile.rows, -1]
        limit = worst - tile.noise
        if np.isinf(worst).any():
            limit = np.maximum(limit, self._guess(tile.similarity) - 2 * tile.noise)
        mask = tile.similarity >= limit[:, None].astype(np.float32)
        if is_dense(mask):
            exact = tile.exact()
            j = np.argsort(-exact, axis=1, kind="stable")[:, : self.k]
            i = np.repeat(np.arange(len(j)), j.shape[1])
            j = j.ravel()
            cosine = exact[i, j]
        else:
            i, j = positions(mask)
            cosine = tile.pairs(i, j)
        # Of equally near candidates the first ones stay.
        better = cosine > worst[i]
        self._merge(
            i[better] + tile.rows.start, j[better] + tile.columns.start, cosine[better]
        )

    def _guess(self, similarity: np.ndarray) -> np.ndarray:
        """Return what at least k candidates of a tile (R, C) reach, (R,)."""
        size = similarity.shape[1]
        if size < self.k:
            return np.full(len(similarity), -np.inf)
        starts = np.arange(0, size, max(1, size // (GROUPS * self.k)))
        best = np.maximum.reduceat(similarity, starts, axis=1)  # (R, groups)
        return np.partition(best, -self.k, axis=1)[:, -self.k]

    def _merge(self, i: np.ndarray, j: np.ndarray, cosine: np.ndarray) -> None:
        """Keep the k nearest of those so far and of pairs (P,) of query, candidate."""
        rows = np.unique(i)
        i = np.concatenate([np.repeat(rows, self.k), i])
        j = np.concatenate([self.index[rows].ravel(), j])
        cosine = np.concatenate([self.cosine[rows].ravel(), cosine])
        order = np.lexsort((j, -cosine, i))
        start = np.searchsorted(i[order], rows)
        kept = order[start[:, None] + np.arange(self.k)]  # (rows, k)
        self.cosine[rows] = cosine[kept]
        self.index[rows] = j[kept]


TILE = 2048
"""Queries and candidates compared at a time: 16 MB of cosines."""
MATCHES = 2**16
"""Matching pairs looked at in one go."""


def match_pairs(
    query_texts: np.ndarray, pool_texts: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """List all pairs of a query and a candidate of the same text.

    Args:
        query_texts: Number of each query's text (N,).
        pool_texts: Number of each candidate's text (M,).

    Yields:
        Queries (P,) and candidates (P,); all pairs of a query come together, and P is
        at most `MATCHES` where a query has not more by itself.
    """
    by_text = np.argsort(query_texts, kind="stable")
    order = np.argsort(pool_texts, kind="stable")
    ordered, wanted = pool_texts[order], query_texts[by_text]
    first = np.searchsorted(ordered, wanted, side="left")
    counts = np.searchsorted(ordered, wanted, side="right") - first
    ends = np.cumsum(counts)
    start = 0
    while start < len(wanted):
        before = ends[start] - counts[start]
        stop = max(start + 1, np.searchsorted(ends, before + MATCHES, side="right"))
        rows = np.repeat(np.arange(start, stop), counts[start:stop])
        # Place within the query's own run of candidates
        place = np.arange(before, before + len(rows)) - (ends - counts)[rows]
        yield by_text[rows], order[first[rows] + place]
        start = stop


def match(
    queries: UnitVectors,
    pool: UnitVectors,
    query_texts: np.ndarray,
    pool_texts: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Compare every query with the candidates of its text.

    Args:
        queries: N vectors (D,).
        pool: M vectors (D,).
        query_texts: Number of each query's text (N,).
        pool_texts: Number of each candidate's text (M,).

    Returns:
        Cosine of every query to the nearest of its candidates (N,) and of every
        candidate to the nearest of its queries (M,), infinite where there is none; mean
        cosine over all matching pairs, nan without any.
    """
    best, best_back = np.full(len(queries), -np.inf), np.full(len(pool), -np.inf)
    total, count = 0.0, 0
    for i, j in match_pairs(query_texts, pool_texts):
        cosine = pair_cosines(queries, pool, i, j)
        np.maximum.at(best, i, cosine)
        np.maximum.at(best_back, j, cosine)
        total += float(cosine.sum())
        count += len(i)
    best[np.isinf(best)] = np.inf
    best_back[np.isinf(best_back)] = np.inf
    return best, best_back, total / count if count else float("nan")


def slices(length: int, step: int) -> Iterator[slice]:
    """Cut 0..length into slices of `step`."""
    for start in range(0, length, step):
        yield slice(start, min(start + step, length))


def search(
    queries: UnitVectors,
    pool: UnitVectors,
    query_texts: np.ndarray,
    pool_texts: np.ndarray,
    k: int = 0,
    tile: int = TILE,
) -> tuple[Neighbours, Neighbours, float]:
    """Rank the pool for every query and the queries for every candidate.

    A candidate with the text of the query is right. A wrong candidate that is exactly
    as near as the right one counts as nearer: a collapsed space must not look perfect.
    Every cosine is computed once, in single precision, for both directions; what single
    precision cannot decide is decided in double precision, so results do not depend on
    `tile`.

    Args:
        queries: N vectors (D,).
        pool: M vectors (D,).
        query_texts: Number of each query's text (N,).
        pool_texts: Number of each candidate's text (M,).
        k: Neighbours to return, at most N and M.
        tile: Queries and candidates compared at a time.

    Returns:
        Neighbours of the queries in the pool, neighbours of the candidates among the
        queries, mean cosine over all matching pairs.

    Raises:
        ValueError: For vectors of two sizes, and k out of range.
    """
    if queries.size != pool.size:
        raise ValueError(
            f"embeddings must be of one size D: {queries.size} and {pool.size}"
        )
    if not 0 <= k <= min(len(queries), len(pool)):
        raise ValueError(
            f"k must be 0 to {min(len(queries), len(pool))}, the smaller side: {k}"
        )
    best, best_back, cosine = match(queries, pool, query_texts, pool_texts)
    forward = Ranking(best, query_texts, pool_texts, k)
    backward = Ranking(best_back, pool_texts, query_texts, k)
    for rows in slices(len(queries), tile):
        for columns in slices(len(pool), tile):
            part = Tile.compute(queries, pool, rows, columns)
            forward.update(part)
            backward.update(part.T)
    return forward.result(), backward.result(), cosine
