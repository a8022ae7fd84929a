"""xsim, LASER's similarity error."""

import numpy as np

from espnet_samu.scoring.neighbours import Neighbours

MARGINS = ("absolute", "ratio", "distance")


def similarity_error(
    forward: Neighbours,
    backward: Neighbours,
    query_texts: np.ndarray,
    pool_texts: np.ndarray,
    margin: str,
) -> float:
    """Compute xsim: the share of queries whose best-scored candidate is wrong.

    With x a query, y one of its k nearest candidates, and a(.) the mean cosine of a
    vector to its k nearest neighbours on the other side, the score is cos(x, y)
    (absolute), cos(x, y) / b (ratio) or cos(x, y) - b (distance), where
    b = (a(x) + a(y)) / 2. The absolute margin needs no k. Queries without a match are
    left out; as neighbours of candidates they count.

    Reference:
        Artetxe and Schwenk, "Margin-based Parallel Corpus Mining with Multilingual
        Sentence Embeddings", ACL 2019, Eq. 2-3; LASER, `source/xsim.py`.

    Args:
        forward: Neighbours of the N queries in the pool.
        backward: Neighbours of the M candidates among the queries.
        query_texts: Number of each query's text (N,).
        pool_texts: Number of each candidate's text (M,).
        margin: One of `MARGINS`.

    Returns:
        Error in %.

    Raises:
        ValueError: For an unknown margin.
    """
    if margin not in MARGINS:
        raise ValueError(f"margin must be one of {MARGINS}: {margin!r}")
    matched = forward.rank > 0
    if margin == "absolute":
        return 100.0 * float(np.mean(forward.rank[matched] > 1))
    ax = forward.cosine.mean(axis=1, keepdims=True)  # (N, 1)
    ay = backward.cosine.mean(axis=1)[forward.index]  # (N, k)
    b = (ax + ay) / 2
    score = forward.cosine / b if margin == "ratio" else forward.cosine - b
    right = pool_texts[forward.index] == query_texts[:, None]
    best_right = np.where(right, score, -np.inf).max(axis=1)
    best_wrong = np.where(right, -np.inf, score).max(axis=1)
    return 100.0 * float(np.mean((best_right <= best_wrong)[matched]))
