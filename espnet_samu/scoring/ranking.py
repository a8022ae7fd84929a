"""Ranks and nearest neighbours of queries, gathered tile by tile."""

import numpy as np
from typeguard import typechecked

from espnet_samu.scoring.neighbours import Neighbours
from espnet_samu.scoring.tile import Tile

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
    """Whether so much of a mask is true that single places do not pay."""
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
