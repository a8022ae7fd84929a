"""Nearest neighbours by cosine: exact ranks, exact ties, in bounded memory.

Cosines are computed in single precision. Sums of D products of unit vectors are then
off by at most D times the unit roundoff, in any order (Higham, "Accuracy and Stability
of Numerical Algorithms", Sec. 3.1, and Cauchy-Schwarz). What that cannot decide is
computed in double precision and rounded to `DECIMALS`.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from typeguard import typechecked

DECIMALS = 12  # of a cosine: equal ones stay equal in whatever order they are summed
TILE = 2048  # queries and candidates compared at a time: 16 MB of cosines
MATCHES = 256  # queries compared at a time with the candidates of their texts
PAIRS = 64  # pairs multiplied at a time: 0.4 MB a side for D = 768
GROUPS = 16  # of candidates for each neighbour, to estimate the k-th greatest cosine
DENSE = 1 / 32  # share of a table from which it is faster to treat the whole table


@dataclasses.dataclass(frozen=True)
class Neighbours:
    """Ranks and nearest candidates of N queries in a pool."""

    rank: np.ndarray
    """Rank of the nearest right candidate, from 1; 0 without one; `(N,)`."""
    index: np.ndarray
    """The k nearest candidates, nearest first, `(N, k)`."""
    cosine: np.ndarray
    """Cosines to those candidates, `(N, k)`."""


class UnitVectors:
    """Rows of a table, L2-normalised when read: a copy would take too much memory.

    Args:
        vectors: Array (N, D), single or double precision; never changed.
        names: Name of every row, for messages; its number by default.
        label: What the rows are, for messages.

    Raises:
        ValueError: The array is not (N, D), or a row is zero or not finite.
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
        self.size = vectors.shape[1]

    def __len__(self) -> int:
        """Return N."""
        return len(self.vectors)

    def single(self, rows: slice) -> np.ndarray:
        """Return normalised rows in single precision."""
        scale = (1 / self.lengths[rows]).astype(np.float32)
        return self.vectors[rows].astype(np.float32, copy=False) * scale

    def double(self, rows: slice | np.ndarray) -> np.ndarray:
        """Return normalised rows in double precision."""
        return self.vectors[rows] / self.lengths[rows]


def pair_cosines(
    a: UnitVectors, b: UnitVectors, i: np.ndarray, j: np.ndarray
) -> np.ndarray:
    """Return exact cosines (P,) of rows `i` (P,) of `a` and rows `j` (P,) of `b`."""
    if len(i) == 0:
        return np.empty(0)
    rows, columns = (slice(x.min(), x.max() + 1) for x in (i, j))
    size = (rows.stop - rows.start) * (columns.stop - columns.start)
    if len(i) >= DENSE * size:
        table = a.double(rows) @ b.double(columns).T
        return np.round(table[i - rows.start, j - columns.start], DECIMALS)
    cosines = np.empty(len(i))
    for start in range(0, len(i), PAIRS):
        part = slice(start, start + PAIRS)
        left, right = a.vectors[i[part]], b.vectors[j[part]]
        cosines[part] = np.vecdot(left.astype(np.float64), right.astype(np.float64))
    return np.round(cosines / (a.lengths[i, 0] * b.lengths[j, 0]), DECIMALS)


def _positions(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns where a mask (R, C), in either memory order, is true."""
    if not mask.flags.c_contiguous:
        return _positions(mask.T)[::-1]
    return np.divmod(np.flatnonzero(mask), mask.shape[1])


class Ranking:
    """Ranks and k nearest candidates of N queries in a pool of M, tile by tile.

    The arguments are those of :func:`search`; `best` (N,) has the exact cosine to the
    nearest right candidate, infinite without one. Tiles of the same queries come in the
    order of their candidates: `similarity` (R, C) has the cosines in single precision
    of the queries from `row` and the candidates from `column`.
    """

    def __init__(
        self,
        queries: UnitVectors,
        pool: UnitVectors,
        best: np.ndarray,
        texts: np.ndarray,
        candidate_texts: np.ndarray,
        k: int,
    ):
        self.queries, self.pool, self.best, self.k = queries, pool, best, k
        self.texts, self.candidate_texts = texts, candidate_texts
        # 2**-24 is single precision's unit roundoff; 8: scaling and thresholds.
        self.error = (pool.size + 8) * 2.0**-24
        rank, shape = np.isfinite(best).astype(np.int64), (len(best), k)
        self.found = Neighbours(rank, np.full(shape, -1), np.full(shape, -np.inf))

    def update_rank(self, similarity: np.ndarray, row: int, column: int) -> None:
        """Count wrong candidates that are at least as near as the right one."""
        best = self.best[row : row + len(similarity)]
        rank = self.found.rank[row : row + len(similarity)]  # a view
        high = (best + self.error).astype(np.float32)
        mask = similarity >= (best - self.error).astype(np.float32)[:, None]
        if np.count_nonzero(mask) > DENSE * mask.size:
            # Right candidates are never nearer than the nearest right one.
            nearer = similarity > high[:, None]
            rank += np.count_nonzero(nearer, axis=1)
            mask ^= nearer
        i, j = _positions(mask)
        is_wrong = self.texts[i + row] != self.candidate_texts[j + column]
        i, j = i[is_wrong], j[is_wrong]
        nearer = similarity[i, j] > high[i]
        unsure = np.flatnonzero(~nearer)
        rows, columns = i[unsure] + row, j[unsure] + column
        exact = pair_cosines(self.queries, self.pool, rows, columns)
        nearer[unsure] = exact >= self.best[rows]
        rank += np.bincount(i[nearer], minlength=len(rank))

    def update_nearest(self, similarity: np.ndarray, row: int, column: int) -> None:
        """Merge the k nearest so far with the tile's; of equals the first stay."""
        size = similarity.shape[1]
        worst = self.found.cosine[row : row + len(similarity), -1]
        limit = worst - self.error
        if size >= self.k and np.isinf(worst).any():
            # At least k candidates reach the k-th greatest maximum of groups.
            starts = np.arange(0, size, max(1, size // (GROUPS * self.k)))
            groups = np.maximum.reduceat(similarity, starts, axis=1)
            reached = np.partition(groups, -self.k, axis=1)[:, -self.k]
            limit = np.maximum(limit, reached - 2 * self.error)
        i, j = _positions(similarity >= limit[:, None].astype(np.float32))
        i, j = i + row, j + column
        cosine = pair_cosines(self.queries, self.pool, i, j)
        better = cosine > self.found.cosine[i, -1]
        rows = np.unique(i[better])
        i = np.concatenate([np.repeat(rows, self.k), i[better]])
        j = np.concatenate([self.found.index[rows].ravel(), j[better]])
        cosine = np.concatenate([self.found.cosine[rows].ravel(), cosine[better]])
        order = np.lexsort((j, -cosine, i))
        start = np.searchsorted(i[order], rows)
        kept = order[start[:, None] + np.arange(self.k)]  # (rows, k)
        self.found.cosine[rows], self.found.index[rows] = cosine[kept], j[kept]


def match_pairs(
    query_texts: np.ndarray, pool_texts: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield queries (P,) and candidates (P,) of the same texts, query by query."""
    order = np.argsort(pool_texts, kind="stable")
    for start in range(0, len(query_texts), MATCHES):
        texts = query_texts[start : start + MATCHES]
        first = np.searchsorted(pool_texts, texts, side="left", sorter=order)
        counts = np.searchsorted(pool_texts, texts, side="right", sorter=order) - first
        i = np.repeat(np.arange(len(texts)), counts)
        # Place within the query's own run of candidates
        place = np.arange(len(i)) - (np.cumsum(counts) - counts)[i]
        yield i + start, order[first[i] + place]


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
    Every cosine is computed once for both directions; results do not depend on `tile`.

    Args:
        queries: N vectors (D,).
        pool: M vectors (D,).
        query_texts: Number of each query's text (N,).
        pool_texts: Number of each candidate's text (M,).
        k: Neighbours to return, at most N and M.
        tile: Queries and candidates compared at a time.

    Returns:
        Neighbours of the queries in the pool, neighbours of the candidates among the
        queries, mean cosine over all matching pairs (nan without any).

    Raises:
        ValueError: The vectors have two sizes, or k is out of range.
    """
    n, m = len(queries), len(pool)
    if queries.size != pool.size:
        raise ValueError(
            f"embeddings must be of one size D: {queries.size} and {pool.size}; "
            "compare a student with the teacher that it was distilled from (--teacher)"
        )
    if not 0 <= k <= min(n, m):
        raise ValueError(f"k must be 0 to {min(n, m)}, the smaller side: {k}")
    best, best_back = np.full(n, -np.inf), np.full(m, -np.inf)
    total, count = 0.0, 0
    for i, j in match_pairs(query_texts, pool_texts):
        cosine = pair_cosines(queries, pool, i, j)
        np.maximum.at(best, i, cosine)
        np.maximum.at(best_back, j, cosine)
        total, count = total + float(cosine.sum()), count + len(i)
    best[np.isinf(best)], best_back[np.isinf(best_back)] = np.inf, np.inf
    forward = Ranking(queries, pool, best, query_texts, pool_texts, k)
    backward = Ranking(pool, queries, best_back, pool_texts, query_texts, k)
    for row in range(0, n, tile):
        rows = queries.single(slice(row, row + tile))
        for column in range(0, m, tile):
            similarity = rows @ pool.single(slice(column, column + tile)).T
            forward.update_rank(similarity, row, column)
            backward.update_rank(similarity.T, column, row)
            if k:
                forward.update_nearest(similarity, row, column)
                backward.update_nearest(similarity.T, column, row)
    return forward.found, backward.found, total / count if count else float("nan")
