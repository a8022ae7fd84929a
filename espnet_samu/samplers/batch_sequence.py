"""Stretches of epochs, read as one."""

from collections.abc import Iterator, Sequence

from espnet2.samplers.abs_sampler import AbsSampler
from typeguard import typechecked

from espnet_samu.samplers.epoch_batches import EpochBatches


class BatchSequence(AbsSampler):
    """Batches of one or more epochs; what ESPnet's iterator factory is given.

    Args:
        parts: Epoch, first batch and batch after the last one.
    """

    @typechecked
    def __init__(self, parts: Sequence[tuple[EpochBatches, int, int]]):
        self._parts = tuple(parts)

    def __len__(self) -> int:
        """Number of batches."""
        return sum(stop - start for _, start, stop in self._parts)

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        """Yield the utterances of each batch."""
        for batches, start, stop in self._parts:
            yield from batches.read(start, stop)

    def generate(self, seed: int) -> "BatchSequence":
        """Return itself instead of a list: the seed has been used, and no epoch is
        turned into millions of strings.
        """
        return self
