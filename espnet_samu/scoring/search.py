"""Ranks and nearest neighbours, without a queries x pool matrix."""

from collections.abc import Iterator

import numpy as np

from espnet_samu.scoring.neighbours import Neighbours
from espnet_samu.scoring.ranking import Ranking
from espnet_samu.scoring.tile import Tile
from espnet_samu.scoring.unit_vectors import UnitVectors, pair_cosines

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
