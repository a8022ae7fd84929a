"""Sampler that balances languages in batches of similar lengths."""

import numpy as np
from typeguard import typechecked

from espnet_samu.samplers.batches import EpochBatches, cut_into_batches, sort_in_buckets
from espnet_samu.samplers.data_files import Languages, Shapes

# Short permutations are made so many draws at a time.
_DRAWS_AT_ONCE = 4096


def language_probabilities(counts: np.ndarray, upsampling_factor: float) -> np.ndarray:
    """Return P(l) = p_l^alpha / sum_k p_k^alpha with p_l = N_l / N.

    Reference:
        SAMU-XLSR, arXiv 2205.08180, Eq. 3 (there as the ratio P(l) / p_l).

    Args:
        counts: Utterances N_l (L,), none of them zero.
        upsampling_factor: alpha: 1 leaves the shares as they are, 0 makes them equal;
            0.05 in the paper.

    Returns:
        Probabilities (L,).

    Raises:
        ValueError: For an upsampling factor outside [0, 1].
    """
    if not 0 <= upsampling_factor <= 1:
        raise ValueError(
            "upsampling_factor must be between 0 (languages equally often) and 1 (as "
            f"in the corpus): {upsampling_factor}"
        )
    powers = (counts / counts.sum()) ** upsampling_factor
    return powers / powers.sum()


class LanguageDraws:
    """Drawing of utterances by language; an epoch has as many draws as utterances.

    Each language is an endless sequence of random permutations of its utterances, of
    which every epoch takes the next piece. So no utterance is drawn a second time
    before all others of its language, across epochs, too. A piece follows from seed and
    epoch, without any state. Its length is the language's probability times the draws;
    errors of rounding do not add up over the epochs.

    Args:
        codes: Language (N,) of each utterance, 0..L-1.
        probabilities: P(l) (L,), at least the share of the smallest language.
        seed: Seed of the run.
    """

    @typechecked
    def __init__(self, codes: np.ndarray, probabilities: np.ndarray, seed: int):
        self.seed = seed
        self._n_draws = len(codes)
        members = np.argsort(codes, kind="stable").astype(np.int32)
        counts = np.bincount(codes, minlength=len(probabilities))
        self._members = np.split(members, np.cumsum(counts)[:-1])
        self._cumulative = np.concatenate([[0.0], np.cumsum(probabilities)])
        self._cumulative[-1] = 1.0

    def counts(self, epoch: int) -> np.ndarray:
        """Return the draws (L,) of each language in an epoch; their sum is N."""
        return self._drawn_until(epoch) - self._drawn_until(epoch - 1)

    def _drawn_until(self, epoch: int) -> np.ndarray:
        # Rounded as cumulative sums over the languages, so that each epoch has N.
        total = self._cumulative * self._n_draws * epoch
        return np.diff(np.floor(total + 0.5).astype(np.int64))

    def draw(self, epoch: int, rng: np.random.Generator) -> np.ndarray:
        """Draw the utterances of an epoch, the languages evenly mixed.

        Args:
            epoch: Number of the epoch, from 1.
            rng: Decides how the languages are mixed, not what is drawn.

        Returns:
            Row (N,) of each utterance that is drawn, in the order of drawing, int32.
        """
        begins, ends = self._drawn_until(epoch - 1), self._drawn_until(epoch)
        pieces = [self._piece(i, *span) for i, span in enumerate(zip(begins, ends))]
        # Draw i of n stands somewhere in the i-th n-th part of the epoch.
        places = [(np.arange(len(p)) + rng.random(len(p))) / len(p) for p in pieces]
        order = np.argsort(np.concatenate(places), kind="stable")
        return np.concatenate(pieces)[order]

    def _piece(self, language: int, begin: int, end: int) -> np.ndarray:
        """Return draws begin..end of a language."""
        members = self._members[language]
        n_rounds = max(1, _DRAWS_AT_ONCE // len(members))
        size = n_rounds * len(members)
        parts = [members[:0]]
        for block in range(begin // size, -(-end // size)):
            rng = np.random.default_rng([self.seed, language, block])
            rounds = rng.permuted(np.tile(members, (n_rounds, 1)), axis=1).ravel()
            start = block * size
            parts.append(rounds[max(0, begin - start) : end - start])
        return np.concatenate(parts)


# [ours] Utterances are sorted by length within so many batches' worth of draws: more
# of them saves no padding to speak of, and brings repeated utterances together.
_BATCHES_IN_BUCKET = 128


class BalancedSampler:
    """Sampler of batches in which language l has P(l) ~ p_l^alpha.

    All of it follows from seed and epoch: every process makes the same batches, and an
    epoch after a resume is that of an uninterrupted run.

    Args:
        shapes: Sizes of the N utterances.
        languages: Their languages.
        upsampling_factor: alpha, 0 to 1.
        batch_bins: Largest size of a batch over all processes, in elements, padding
            included.
        min_batch_size: Fewest utterances of a batch; at least ``world_size``.
        max_batch_size: Most utterances of a batch.
        sort_in_batch: ``descending`` or ``ascending``.
        seed: Seed of the run.
        rank: Which process reads.
        world_size: Number of processes.

    Raises:
        ValueError: A value is out of its range, or there are fewer utterances than
            ``min_batch_size``.
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
        """Return the batches of an epoch.

        Args:
            epoch: Number of the epoch, from 1.
            shuffle: Whether batches come in random order.

        Returns:
            Batches with N utterances. Where the last one had less than
            ``min_batch_size``, it is filled up with utterances of the one before.
        """
        rng = np.random.default_rng(self.seed + epoch)
        rows = self.draws.draw(epoch, rng)
        elements = self.shapes.computed(rows)
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
