"""Batches of two kinds side by side."""

from typing import Optional

from espnet2.iterators.abs_iter_factory import AbsIterFactory
from typeguard import typechecked

from espnet_samu.iterators.paired_iterator import PairedIterator


class PairedIterFactory(AbsIterFactory):
    """Makes an epoch's batches, each with the next one of another data set beside it.

    Both sides are told the epoch, from which, with the seed, all follows: an epoch
    after a resume is that of an uninterrupted run.

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

    def build_iter(self, epoch: int, shuffle: Optional[bool] = None) -> PairedIterator:
        """Build the iterator of an epoch, from 1."""
        main = self.main.build_iter(epoch, shuffle)
        return PairedIterator(main, self.beside, epoch, self.prefix)
