"""Retrieval: do utterances find their text, the text them, and they each other."""

from collections.abc import Iterable

import numpy as np

from espnet_samu.scoring.embedding_pool import EmbeddingPool
from espnet_samu.scoring.retrieval_result import RetrievalResult
from espnet_samu.scoring.retrieval_score import RetrievalScore
from espnet_samu.scoring.search import TILE, search
from espnet_samu.scoring.xsim import MARGINS, similarity_error


def score_pair(
    a: EmbeddingPool, b: EmbeddingPool, margin: str, k: int, tile: int = TILE
) -> RetrievalResult:
    """Score retrieval of pool `b` with pool `a`, and the other way round.

    Queries without a match are left out, but are candidates and neighbours.

    Args:
        a: One pool.
        b: The other pool.
        margin: Margin of xsim, one of `MARGINS`.
        k: Neighbours for the margin; less where a pool is smaller.
        tile: Queries and candidates compared at a time.

    Returns:
        Scores of both directions, or both in `without_match`.

    Raises:
        ValueError: For an unknown margin, k < 1, embeddings of two sizes.
    """
    if margin not in MARGINS:
        raise ValueError(f"margin must be one of {MARGINS}: {margin!r}")
    if k < 1:
        raise ValueError(f"k must be at least 1: {k}")
    result = RetrievalResult()
    if not np.isin(a.contents, b.contents).any():
        result.add_without_match(a, b)
        result.add_without_match(b, a)
        return result
    k = min(k, len(a.vectors), len(b.vectors))
    forward, backward, cosine = search(
        a.vectors, b.vectors, a.contents, b.contents, k, tile
    )
    for queries, pool, found, reverse in (
        (a, b, forward, backward),
        (b, a, backward, forward),
    ):
        rank = found.rank[found.rank > 0]
        result.scores.append(
            RetrievalScore(
                lang=queries.lang,
                target_lang=pool.lang,
                direction=f"{queries.kind}-{pool.kind}",
                queries=len(rank),
                dropped=len(found.rank) - len(rank),
                pool=len(pool.vectors),
                r1=float(np.mean(rank <= 1)),
                r5=float(np.mean(rank <= 5)),
                r10=float(np.mean(rank <= 10)),
                mrr=float(np.mean(1.0 / rank)),
                cosine=cosine,
                xsim=similarity_error(
                    found, reverse, queries.contents, pool.contents, margin
                ),
                margin=margin,
                k=k,
            )
        )
    return result


def score_retrieval(
    pairs: Iterable[tuple[EmbeddingPool, EmbeddingPool]],
    margin: str = "ratio",
    k: int = 4,
) -> RetrievalResult:
    """Score retrieval between every two pools, both ways.

    Args:
        pairs: Pairs of pools.
        margin: Margin of xsim, one of `MARGINS`.
        k: Neighbours for the margin.

    Returns:
        Scores by pair and direction.

    Raises:
        ValueError: As `score_pair`.
    """
    result = RetrievalResult()
    for a, b in pairs:
        result.extend(score_pair(a, b, margin, k))
    return result
