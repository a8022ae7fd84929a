"""Batches of an epoch: lengths, order, share of each rank."""

from collections.abc import Iterator, Sequence

import numpy as np
from espnet2.samplers.abs_sampler import AbsSampler
from typeguard import typechecked

from espnet_samu.samplers.data_files import Shapes


class EpochBatches:
    """Batches of an epoch whose utterance names are looked up when read.

    Args:
        shapes: The corpus.
        rows: Utterances (M,) of all batches, one batch after the other.
        borders: Borders (B + 1,) of the batches in ``rows``.
        order: Batches (B,) in the order in which they are read.
        sort_in_batch: ``descending`` or ``ascending`` in the first shape file.
        rank: Which process reads.
        world_size: Number of processes; each gets every ``world_size``-th utterance.
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
        """Return the number of batches."""
        return len(self.order)

    def read(self, start: int, stop: int) -> Iterator[tuple[str, ...]]:
        """Yield this process's utterances of the batches ``start`` to ``stop``."""
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
        computed = self.shapes.computed(self.rows)
        largest = np.maximum.reduceat(computed, self.borders[:-1]).sum(axis=1)
        padded = int((largest * np.diff(self.borders)).sum())
        return 1 - int(elements.sum()) / max(1, padded)

    def __str__(self) -> str:
        """Return a summary for the log."""
        sizes = np.diff(self.borders)
        return (
            f"{len(self)} batches of {sizes.min()} to {sizes.max()} utterances, mean "
            f"{sizes.mean():.1f}, {100 * self.padding():.1f} % padding"
        )


class BatchSequence(AbsSampler):
    """Batches of one or more epochs, for ESPnet's iterator factory.

    Args:
        parts: Epoch, first batch and batch after the last one.
    """

    @typechecked
    def __init__(self, parts: Sequence[tuple[EpochBatches, int, int]]):
        self._parts = tuple(parts)

    def __len__(self) -> int:
        """Return the number of batches."""
        return sum(stop - start for _, start, stop in self._parts)

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        """Yield the utterances of each batch."""
        for batches, start, stop in self._parts:
            yield from batches.read(start, stop)

    def generate(self, seed: int) -> "BatchSequence":
        """Return itself: a list would hold millions of strings."""
        return self


def sort_in_buckets(lengths: np.ndarray, bucket_size: int) -> np.ndarray:
    """Sort runs of ``bucket_size`` items by length, ascending and descending in turn.

    The last item of a bucket is then about as long as the first one of the next, so
    that a batch may span both.

    Args:
        lengths: Lengths (N,), not negative.
        bucket_size: Items of a bucket.

    Returns:
        Order (N,) of the items.
    """
    bucket = np.arange(len(lengths)) // bucket_size
    longest = lengths.max()
    rising = np.where(bucket % 2 == 0, lengths, longest - lengths)
    return np.argsort(bucket * (longest + 1) + rising, kind="stable")


def cut_into_batches(
    elements: np.ndarray,
    batch_bins: int,
    min_batch_size: int = 1,
    max_batch_size: int | None = None,
) -> np.ndarray:
    """Cut a sequence of items into batches, each as long as the limits allow.

    The size of a batch is counted as ESPnet's ``numel`` does, in elements with padding
    summed over the files. ESPnet differs in two points: it closes a batch after the
    item that exceeds the limit, and takes the lengths in the other files from the item
    that is longest in the first one. Here the padded tensors stay within it.

    Args:
        elements: Elements (N, F) of each item in F files.
        batch_bins: Largest size of a batch of more than ``min_batch_size`` items.
        min_batch_size: Fewest items of a batch; takes precedence over ``batch_bins``.
            The last batch may have fewer.
        max_batch_size: Most items of a batch.

    Returns:
        Borders (B + 1,) of the batches, from 0 to N.
    """
    n = len(elements)
    # A copy with the files first: the loop's slices are contiguous.
    files = np.ascontiguousarray(elements.T)
    numbers = np.arange(1, n + 1)
    most = n if max_batch_size is None else max_batch_size
    borders, start, window = [0], 0, 16
    while start < n:
        limit = min(n - start, most)
        while True:
            width = min(window, limit)
            largest = np.maximum.accumulate(files[:, start : start + width], axis=1)
            padded = largest.sum(axis=0) * numbers[:width]
            fitting = int(padded.searchsorted(batch_bins, side="right"))
            if fitting < width or width == limit:
                break
            window *= 2
        size = min(max(fitting, min_batch_size), limit)
        window = 2 * size
        start += size
        borders.append(start)
    return np.array(borders)
