"""Embeddings on a plane."""

from collections.abc import Iterable

import numpy as np

from espnet_samu.scoring.embedding_pool import EmbeddingPool

PROJECTIONS = ("pca", "tsne")


def project(vectors: np.ndarray, method: str = "pca") -> tuple[np.ndarray, str]:
    """Lay vectors on a plane.

    Args:
        vectors: Array (N, D).
        method: `pca`: the two directions of largest variance, by a singular value
            decomposition of the centred vectors; `tsne`: scikit-learn's t-SNE from
            that start, which shows who is near whom but not how far.

    Returns:
        Points (N, 2), and what they are, for a title.

    Raises:
        ValueError: For an unknown method.
        ImportError: For `tsne` without scikit-learn.
    """
    if method not in PROJECTIONS:
        raise ValueError(f"projection must be one of {PROJECTIONS}: {method!r}")
    if method == "tsne":
        try:
            from sklearn.manifold import TSNE
        except ImportError as e:
            raise ImportError(
                "projection tsne needs scikit-learn: pip install scikit-learn"
            ) from e
        perplexity = min(30.0, (len(vectors) - 1) / 3)
        model = TSNE(perplexity=perplexity, init="pca", random_state=0)
        return model.fit_transform(vectors), f"t-SNE, perplexity {perplexity:.0f}"
    centred = vectors - vectors.mean(axis=0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    points = np.zeros((len(vectors), 2))
    points[:, : len(values[:2])] = left[:, :2] * values[:2]
    variance = values**2 / max(float(np.sum(values**2)), np.finfo(float).tiny)
    return points, f"PCA, {100 * variance[:2].sum():.0f} % of the variance"


def sample_pools(
    pools: Iterable[EmbeddingPool], number: int, seed: int = 0
) -> list[tuple[EmbeddingPool, np.ndarray]]:
    """Draw contents at random, and take all that says them.

    Args:
        pools: Pools with one numbering of contents.
        number: Utterances to take, about; all of a content are taken.
        seed: Seed of the draw.

    Returns:
        Every pool with the rows that are taken.
    """
    pools = list(pools)
    speech = [pool.contents for pool in pools if pool.kind == "speech"]
    contents, counts = np.unique(np.concatenate(speech), return_counts=True)
    order = np.random.default_rng(seed).permutation(len(contents))
    enough = int(np.searchsorted(np.cumsum(counts[order]), number)) + 1
    drawn = contents[order[:enough]]
    return [(p, np.flatnonzero(np.isin(p.contents, drawn))) for p in pools]
