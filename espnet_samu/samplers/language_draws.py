"""Which utterances an epoch draws."""

import numpy as np
from typeguard import typechecked

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
    """Draws utterances by language, as many an epoch as there are utterances.

    Each language is an endless row of random permutations of its utterances, of which
    every epoch takes the next piece. So no utterance comes a second time before all
    others of its language, also over epochs; and no state is needed: a piece follows
    from seed and epoch. The pieces have a fixed length, the language's probability
    times the draws up to rounding, which does not add up over the epochs.

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
        """Draws (L,) of each language in an epoch (from 1); their sum is N."""
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
        """Draws begin..end of a language."""
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
