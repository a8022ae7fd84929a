"""The batches of one epoch, as rows of a table."""

from collections.abc import Iterator

import numpy as np
from typeguard import typechecked

from espnet_samu.samplers.shapes import Shapes


class EpochBatches:
    """Batches whose names are looked up when they are read.

    Args:
        shapes: The corpus.
        rows: Utterances (M,) of all batches, one batch after the other.
        borders: Borders (B + 1,) of the batches in `rows`.
        order: Batches (B,) in the order in which they are read.
        sort_in_batch: ``descending`` or ``ascending`` in the first shape file.
        rank: Which process reads.
        world_size: Number of processes; each gets every `world_size`-th utterance.
    """

    @typechecked
    def __init__(
        self,
        shapes: Shapes,
        rows: np.ndarray,
        borders: np.ndarray,
        order: np.ndarray,
        sort_in_batch: str = "descending",
        rank: int = 0,
        world_size: int = 1,
    ):
        self.shapes = shapes
        self.rows = rows
        self.borders = borders
        self.order = order
        self.sort_in_batch = sort_in_batch
        self.rank = rank
        self.world_size = world_size

    def __len__(self) -> int:
        """Number of batches."""
        return len(self.order)

    def read(self, start: int, stop: int) -> Iterator[tuple[str, ...]]:
        """Yield the utterances of the batches `start` to `stop` for this process."""
        sign = -1 if self.sort_in_batch == "descending" else 1
        for batch in self.order[start:stop]:
            rows = self.rows[self.borders[batch] : self.borders[batch + 1]]
            lengths = self.shapes.lengths[rows, 0]
            rows = rows[np.argsort(sign * lengths, kind="stable")]
            rows = rows[self.rank :: self.world_size]
            yield tuple(u.decode() for u in self.shapes.utterances[rows].tolist())

    def padding(self) -> float:
        """Return the share of padding in the elements of all batches."""
        elements = self.shapes.elements(self.rows)
        largest = np.maximum.reduceat(elements, self.borders[:-1]).sum(axis=1)
        padded = int((largest * np.diff(self.borders)).sum())
        return 1 - int(elements.sum()) / max(1, padded)

    def __str__(self) -> str:
        """Summary for the log."""
        sizes = np.diff(self.borders)
        return (
            f"{len(self)} batches of {sizes.min()} to {sizes.max()} utterances, mean "
            f"{sizes.mean():.1f}, {100 * self.padding():.1f} % padding"
        )
