"""Scores of a system on a test set and on resampled ones."""

from collections.abc import Mapping, Sequence

import numpy as np

from study.study_set import StudySet
from study.sufficient_statistics import METRICS, score_sums

LEAST_SLOTS = 10
"""Slot words that a language of a set must have for a slot accuracy."""
ZERO_SHOT, SUPERVISED, GAP = "zero-shot", "supervised", "gap"


class Resampling:
    """Draws of the contents of a test set, the same ones for every system.

    Systems that are scored on the same drawn sets are compared in pairs of sentences.

    Reference:
        Koehn, "Statistical Significance Tests for Machine Translation Evaluation",
        EMNLP 2004.
    """

    def __init__(
        self,
        study_set: StudySet,
        supervised: Sequence[str],
        zero_shot: Sequence[str],
        samples: int,
        seed: int,
    ):
        """Draw.

        Args:
            study_set: The test set, of N contents.
            supervised: Languages with translations in training.
            zero_shot: Languages without.
            samples: Number of drawn sets R.
            seed: Seed of the draws.

        Raises:
            ValueError: For fewer than one sample.
        """
        if samples < 1:
            raise ValueError(f"samples must be at least 1: {samples}")
        self.set = study_set
        self.groups = {
            name: [lang for lang in langs if lang in study_set.rows]
            for name, langs in ((SUPERVISED, supervised), (ZERO_SHOT, zero_shot))
        }
        self.groups = {name: langs for name, langs in self.groups.items() if langs}
        self.scopes = [*study_set.rows, *self.groups]
        if len(self.groups) == 2:
            self.scopes.append(GAP)
        size = study_set.size
        drawn = np.random.default_rng(seed).multinomial(
            size, np.full(size, 1 / size), size=samples
        )
        # The set as it is comes first, the drawn ones after it.
        self.counts = np.vstack([np.ones(size), drawn])

    def score(self, statistics: Mapping[str, np.ndarray]) -> np.ndarray:
        """Score a system.

        Args:
            statistics: Arrays (N, columns) by language, as `StudySet.statistics`.

        Returns:
            Array (metrics, scopes, 1 + R): of every language, the means over the
            supervised and the zero-shot ones, and the first less the second; the
            scores of the set as it is, then those of the drawn sets. The slot
            accuracy of a set with fewer than `LEAST_SLOTS` slot words is NaN.
        """
        scores = np.full((len(METRICS), len(self.scopes), len(self.counts)), np.nan)
        place = {scope: i for i, scope in enumerate(self.scopes)}
        for lang, table in statistics.items():
            values = score_sums(self.counts @ table)
            if table[:, -1].sum() < LEAST_SLOTS:
                values["slot_accuracy"] = np.full(len(self.counts), np.nan)
            for i, metric in enumerate(METRICS):
                scores[i, place[lang]] = values[metric]
        for name, langs in self.groups.items():
            members = [place[lang] for lang in langs]
            scores[:, place[name]] = scores[:, members].mean(axis=1)
        if GAP in place:
            gap = scores[:, place[SUPERVISED]] - scores[:, place[ZERO_SHOT]]
            scores[:, place[GAP]] = gap
        return scores
