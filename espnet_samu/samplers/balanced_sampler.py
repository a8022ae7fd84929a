"""Balanced languages in batches of similar lengths."""

import numpy as np
from typeguard import typechecked

from espnet_samu.samplers.epoch_batches import EpochBatches
from espnet_samu.samplers.language_draws import LanguageDraws, language_probabilities
from espnet_samu.samplers.languages import Languages
from espnet_samu.samplers.length_batches import cut_into_batches, sort_in_buckets
from espnet_samu.samplers.shapes import Shapes

# [ours] Utterances are sorted by length within so many batches' worth of draws: more
# of them saves no padding to speak of, and brings repeated utterances together.
_BATCHES_IN_BUCKET = 128


class BalancedSampler:
    """Batches of any epoch, in which language l is drawn with P(l) ~ p_l^alpha.

    All of it follows from seed and epoch: every process makes the same batches, and an
    epoch after a resume is that of an uninterrupted run.

    Args:
        shapes: Sizes of the N utterances.
        languages: Their languages.
        upsampling_factor: alpha, 0 to 1.
        batch_bins: Largest size of a batch over all processes, in elements, padding
            included.
        min_batch_size: Fewest utterances of a batch; at least `world_size`.
        max_batch_size: Most utterances of a batch.
        sort_in_batch: ``descending`` or ``ascending``.
        seed: Seed of the run.
        rank: Which process reads.
        world_size: Number of processes.

    Raises:
        ValueError: A value is out of its range, or there are fewer utterances than
            `min_batch_size`.
    """

    @typechecked
    def __init__(
        self,
        shapes: Shapes,
        languages: Languages,
        upsampling_factor: float,
        batch_bins: int,
        min_batch_size: int = 1,
        max_batch_size: int | None = None,
        sort_in_batch: str = "descending",
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ):
        n_utterances = len(shapes.utterances)
        smallest = max(min_batch_size, world_size)
        if batch_bins < 1:
            raise ValueError(f"batch_bins must be positive: {batch_bins}")
        if max_batch_size is not None and max_batch_size < smallest:
            raise ValueError(
                f"max_batch_size must be at least {smallest}, min_batch_size and the "
                f"number of processes: {max_batch_size}"
            )
        if n_utterances < smallest:
            raise ValueError(
                f"there must be at least {smallest} training utterances, "
                f"min_batch_size and the number of processes: {n_utterances}"
            )
        self.shapes = shapes
        self.languages = languages
        self.probabilities = language_probabilities(languages.counts, upsampling_factor)
        self.draws = LanguageDraws(languages.codes, self.probabilities, seed)
        self.batch_bins = batch_bins
        self.min_batch_size = smallest
        self.max_batch_size = max_batch_size
        self.sort_in_batch = sort_in_batch
        self.seed = seed
        self.rank = rank
        self.world_size = world_size

    def batches(self, epoch: int, shuffle: bool = True) -> EpochBatches:
        """Make the batches of an epoch.

        Args:
            epoch: Number of the epoch, from 1.
            shuffle: Whether batches come in random order.

        Returns:
            Batches with N utterances. Where the last one had less than
            `min_batch_size`, it is filled up with utterances of the one before.
        """
        rng = np.random.default_rng(self.seed + epoch)
        rows = self.draws.draw(epoch, rng)
        elements = self.shapes.elements(rows)
        bucket_size = self._bucket_size(elements.sum() / len(elements))
        order = sort_in_buckets(self.shapes.lengths[rows, 0], bucket_size)
        rows = rows[order]
        borders = cut_into_batches(
            elements[order], self.batch_bins, self.min_batch_size, self.max_batch_size
        )
        lacking = self.min_batch_size - (len(rows) - borders[-2])
        if lacking > 0:
            rows = np.concatenate([rows, rows[borders[-2] - lacking : borders[-2]]])
            borders[-1] += lacking
        order = np.arange(len(borders) - 1)
        if shuffle:
            rng.shuffle(order)
        return EpochBatches(
            self.shapes,
            rows,
            borders,
            order,
            self.sort_in_batch,
            self.rank,
            self.world_size,
        )

    def _bucket_size(self, mean_elements: float) -> int:
        size = max(self.batch_bins / max(1, mean_elements), self.min_batch_size)
        if self.max_batch_size is not None:
            size = min(size, self.max_batch_size)
        return int(_BATCHES_IN_BUCKET * size) + 1
