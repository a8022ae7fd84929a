"""Sequences cut into batches of similar lengths and bounded size."""

import numpy as np


def sort_in_buckets(lengths: np.ndarray, bucket_size: int) -> np.ndarray:
    """Sort each run of `bucket_size` items by length, up and down in turn.

    The last of a bucket then is near the first of the next one, and batches may span
    both.

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
    """Cut a sequence of items into batches, each as long as the bounds allow.

    The size of a batch is counted as ESPnet's `numel` does, in elements with padding
    summed over the files. It differs in two points: ESPnet closes a batch after the
    item that is too much, and takes the lengths in the other files from the item that
    is longest in the first one. Here the bound holds, for the padded tensors.

    Args:
        elements: Elements (N, F) of each item in F files.
        batch_bins: Largest size of a batch of more than `min_batch_size` items.
        min_batch_size: Fewest items of a batch; goes before `batch_bins`. The last
            batch may have fewer.
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
