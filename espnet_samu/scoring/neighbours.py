"""Ranks and nearest neighbours, without a queries x pool matrix."""

import dataclasses

import numpy as np

# Similarities held at a time: 32 MB in float32, about 200 MB with what is derived
BLOCK_ELEMENTS = 2**23


@dataclasses.dataclass(frozen=True)
class Neighbours:
    """What `search` finds for N queries in a pool."""

    rank: np.ndarray
    """Rank of the nearest right candidate, from 1, `(N,)`."""
    index: np.ndarray
    """The k nearest candidates, nearest first, `(N, k)`."""
    cosine: np.ndarray
    """Cosines to those candidates, `(N, k)`."""


def normalize(vectors: np.ndarray) -> np.ndarray:
    """Scale vectors to length 1.

    Args:
        vectors: Array (N, D).

    Returns:
        Array (N, D), float32.

    Raises:
        ValueError: For a row that is zero or not finite.
    """
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    wrong = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if len(wrong):
        raise ValueError(
            f"vectors must be finite and not zero: row {wrong[0]} has length "
            f"{lengths[wrong[0], 0]}"
        )
    return (vectors / lengths).astype(np.float32)


def search(
    queries: np.ndarray,
    pool: np.ndarray,
    query_texts: np.ndarray,
    pool_texts: np.ndarray,
    k: int,
    block_elements: int = BLOCK_ELEMENTS,
) -> Neighbours:
    """Rank the pool for every query, block by block.

    A candidate with the text of the query is right. A wrong candidate that is exactly
    as near as the right one counts as nearer: a collapsed space must not look perfect.

    Args:
        queries: Unit vectors (N, D).
        pool: Unit vectors (M, D).
        query_texts: Number of each query's text (N,).
        pool_texts: Number of each candidate's text (M,); every query's text is there.
        k: Neighbours to return, at most M.
        block_elements: Similarities held at a time.
    """
    n, m = len(queries), len(pool)
    rank = np.empty(n, dtype=np.int64)
    index = np.empty((n, k), dtype=np.int64)
    cosine = np.empty((n, k), dtype=np.float32)
    step = max(1, block_elements // m)
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        similarity = queries[rows] @ pool.T  # (B, M)
        right = query_texts[rows, None] == pool_texts[None, :]
        best = np.where(right, similarity, -np.inf).max(axis=1, keepdims=True)
        rank[rows] = 1 + np.count_nonzero((similarity >= best) & ~right, axis=1)
        nearest = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
        values = np.take_along_axis(similarity, nearest, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        index[rows] = np.take_along_axis(nearest, order, axis=1)
        cosine[rows] = np.take_along_axis(values, order, axis=1)
    return Neighbours(rank, index, cosine)
