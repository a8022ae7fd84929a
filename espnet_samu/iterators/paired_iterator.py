"""The batches of one epoch, each with one of another data set beside it."""

import itertools
from typing import Any, Dict, Iterable, Iterator, List, Tuple

from espnet2.iterators.abs_iter_factory import AbsIterFactory
from typeguard import typechecked

Batch = Tuple[List[str], Dict[str, Any]]

# More than there are epochs: passes that are added to an epoch have numbers that no
# epoch has, so that their order is another one.
_EPOCHS = 10**6


class PairedIterator:
    """Batches in which ``speech`` and ``samu_speech`` come together.

    Args:
        main: Names and tensors of each batch.
        beside: Makes the passes through the other data set.
        epoch: Number of the epoch, from 1.
        prefix: Of the names of what is beside, its ``utt_id`` too.
    """

    @typechecked
    def __init__(self, main: Iterable, beside: AbsIterFactory, epoch: int, prefix: str):
        self.main = main
        self.beside = beside
        self.epoch = epoch
        self.prefix = prefix

    def __len__(self) -> int:
        """Number of batches; a TypeError where the main ones cannot be counted."""
        return len(self.main)

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches."""
        others = self._endless()
        for utt_id, batch in self.main:
            other_id, other = next(others)
            other = {**other, "utt_id": other_id}
            yield utt_id, {
                **batch,
                **{f"{self.prefix}{name}": value for name, value in other.items()},
            }

    def _endless(self) -> Iterator[Batch]:
        for number in itertools.count(self.epoch, _EPOCHS):
            yield from self.beside.build_iter(number)
