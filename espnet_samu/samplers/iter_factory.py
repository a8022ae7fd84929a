"""Iterator factories: balanced languages, and batches of two data sets side by side."""

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any, cast

from espnet2.iterators.abs_iter_factory import AbsIterFactory
from espnet2.iterators.sequence_iter_factory import SequenceIterFactory
from torch.utils.data import DataLoader, Dataset
from typeguard import typechecked

from espnet_samu.samplers.balanced_sampler import BalancedSampler
from espnet_samu.samplers.batches import BatchSequence, EpochBatches

Batch = tuple[list[str], dict[str, Any]]

# More than there are epochs: passes that are added to an epoch have numbers that no
# epoch has, so that their order is another one.
_EPOCHS = 10**6


class PairedIterator:
    """Iterator of batches that hold ``speech`` and ``samu_speech``.

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
        """Return the number of batches; TypeError if the main ones have none."""
        return len(cast(Sized, self.main))

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


class PairedIterFactory(AbsIterFactory):
    """Factory of iterators that add a batch of a second data set to each batch.

    Both sides depend on the epoch and the seed only: an epoch after a resume is that of
    an uninterrupted run.

    Args:
        main: Decides how many batches an epoch has.
        beside: Has epochs of its own, and begins again where one ends.
        prefix: Of the names of what is beside: ``samu_speech``.
    """

    @typechecked
    def __init__(self, main: AbsIterFactory, beside: AbsIterFactory, prefix: str):
        self.main = main
        self.beside = beside
        self.prefix = prefix

    def build_iter(self, epoch: int, shuffle: bool | None = None) -> PairedIterator:
        """Build the iterator of an epoch, from 1."""
        main = self.main.build_iter(epoch, shuffle)
        return PairedIterator(main, self.beside, epoch, self.prefix)


class BalancedIterFactory(AbsIterFactory):
    """Factory of each epoch's iterator over a balanced sampler.

    With ``num_iters_per_epoch``, the batches of all passes through the sampler are one
    row, of which every epoch takes the next piece, as ESPnet does. Its own factory
    cannot be used for that: it takes all passes to have the same number of batches.

    Args:
        dataset: Data set of all utterances.
        sampler: Makes the batches of a pass.
        num_iters_per_epoch: Batches of an epoch. None: those of one pass.
        num_workers: Processes that load data.
        collate_fn: Makes tensors of a batch.
        pin_memory: Whether tensors are made in pinned memory.
    """

    @typechecked
    def __init__(
        self,
        dataset: Dataset,
        sampler: BalancedSampler,
        num_iters_per_epoch: int | None = None,
        num_workers: int = 0,
        collate_fn: Callable | None = None,
        pin_memory: bool = False,
    ):
        self.sampler = sampler
        self.num_iters_per_epoch = num_iters_per_epoch
        self._loader = {
            "dataset": dataset,
            "seed": sampler.seed,
            "num_workers": num_workers,
            "collate_fn": collate_fn,
            "pin_memory": pin_memory,
        }
        # Not state, only what was computed before: batches of the passes from the
        # first one, and the last pass.
        self._sizes: list[int] = []
        self._last: tuple[tuple[int, bool], EpochBatches] | None = None

    def build_iter(self, epoch: int, shuffle: bool | None = None) -> DataLoader:
        """Build the iterator of an epoch, from 1; shuffled by default."""
        batches = self.batches(epoch, shuffle is not False)
        return SequenceIterFactory(batches=batches, **self._loader).build_iter(epoch)

    def batches(self, epoch: int, shuffle: bool = True) -> BatchSequence:
        """Return the batches of an epoch, from 1."""
        if self.num_iters_per_epoch is None:
            batches = self._pass(epoch, shuffle)
            return BatchSequence([(batches, 0, len(batches))])
        number, skipped = 1, self.num_iters_per_epoch * (epoch - 1)
        while skipped >= self._size(number, shuffle):
            skipped -= self._size(number, shuffle)
            number += 1
        parts, lacking = [], self.num_iters_per_epoch
        while lacking > 0:
            batches = self._pass(number, shuffle)
            stop = min(skipped + lacking, len(batches))
            parts.append((batches, skipped, stop))
            lacking -= stop - skipped
            number, skipped = number + 1, 0
        return BatchSequence(parts)

    def _size(self, number: int, shuffle: bool) -> int:
        while len(self._sizes) < number:
            self._sizes.append(len(self._pass(len(self._sizes) + 1, shuffle)))
        return self._sizes[number - 1]

    def _pass(self, number: int, shuffle: bool) -> EpochBatches:
        key = (number, shuffle)
        if self._last is None or self._last[0] != key:
            self._last = None
            batches = self.sampler.batches(number, shuffle)
            logging.info(f"Pass {number} through the training data: {batches}")
            self._last = (key, batches)
        return self._last[1]
