"""Scores of a system on a test set and on resampled ones.

A corpus score is a function of sums over sentences. With the summands at hand, the
score of a resampled set is a product of two matrices and one formula.
"""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.metrics.bleu import MAX_NGRAM_ORDER

from study.run_file import RunUtterance

METRICS = ("bleu", "exact_match", "slot_accuracy")
"""Those of a plan that names none."""
GREATEST = {"bleu": 100.0, "chrf": 100.0, "exact_match": 1.0, "slot_accuracy": 1.0}
BLEU_COLUMNS = 2 + 2 * MAX_NGRAM_ORDER  # lengths, then n-grams: right ones, all
COLUMNS = BLEU_COLUMNS + 4  # sentences, equal ones, slot words: right ones, all
# Where chrF is asked for, n-grams of characters follow: the translation's, the
# reference's, those of both, by order.


def bleu_metric() -> BLEU:
    """Return the metric: sacreBLEU's defaults, as for all scores of English here."""
    return BLEU(tokenize="13a")


def segment_statistics(
    utterances: Sequence[RunUtterance], metrics: Sequence[str] = METRICS
) -> np.ndarray:
    """Return the summands of all metrics.

    Args:
        utterances: N utterances, at least one.
        metrics: What is scored.

    Returns:
        Array (N, `COLUMNS`): sacreBLEU's own statistics of BLEU, then 1, whether it is
        equal to the reference, slot words that are right, slot words; with chrf
        sacreBLEU's own statistics of that, too.
    """
    # sacreBLEU's significance tests take their statistics from the same method.
    texts = [u.hyp for u in utterances], [[u.ref for u in utterances]]
    tables: list = [bleu_metric()._extract_corpus_statistics(*texts)]
    tables.append([(1, u.exact, u.slots_right, u.slots) for u in utterances])
    if "chrf" in metrics:
        tables.append(CHRF()._extract_corpus_statistics(*texts))
    return np.hstack([np.asarray(table, float) for table in tables])


def chrf_of_sums(sums: np.ndarray) -> np.ndarray:
    """Return corpus chrF, 0 to 100, as sacreBLEU computes it (chrF2, 6 characters).

    Args:
        sums: Array (..., 18) of statistics summed over sentences.

    Returns:
        Array (...).
    """
    given, wanted, right = sums[..., 0::3], sums[..., 1::3], sums[..., 2::3]
    counted = (given > 0) & (wanted > 0)
    orders = np.maximum(1, counted.sum(axis=-1))
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(counted, right / given, 0).sum(axis=-1) / orders
        recall = np.where(counted, right / wanted, 0).sum(axis=-1) / orders
        score = 100 * 5 * precision * recall / (4 * precision + recall)
    return np.where(precision + recall > 0, score, 0.0)


def bleu_of_sums(sums: np.ndarray) -> np.ndarray:
    """Return corpus BLEU, 0 to 100, as sacreBLEU computes it: smoothing `exp`.

    Args:
        sums: Array (..., `BLEU_COLUMNS`) of statistics summed over sentences.

    Returns:
        Array (...).
    """
    hyp_length, ref_length = sums[..., 0], sums[..., 1]
    right = sums[..., 2 : 2 + MAX_NGRAM_ORDER]
    total = sums[..., 2 + MAX_NGRAM_ORDER : BLEU_COLUMNS]
    # Every order without a right n-gram counts half as much as the one before it. Where
    # there is no n-gram of an order at all, sacreBLEU stops and the score is 0.
    halved = 2.0 ** np.cumsum(right == 0, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(right > 0, right, 1 / halved) / total
        penalty = np.minimum(1.0, np.exp(1 - ref_length / hyp_length))
        score = 100 * penalty * np.exp(np.log(precision).mean(axis=-1))
    known = (total > 0).all(axis=-1) & (right > 0).any(axis=-1)
    return np.where(known, score, 0.0)


def score_sums(sums: np.ndarray) -> dict[str, np.ndarray]:
    """Return all metrics: BLEU 0 to 100, the others 0 to 1, NaN where not defined.

    Args:
        sums: Array (..., `COLUMNS`) of statistics summed over sentences.
    """
    others = sums[..., BLEU_COLUMNS:COLUMNS]
    sentences, equal, right, slots = np.moveaxis(others, -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        exact_match, slot_accuracy = equal / sentences, right / slots
        bleu = np.where(sentences > 0, bleu_of_sums(sums[..., :BLEU_COLUMNS]), np.nan)
        chrf = np.where(sentences > 0, chrf_of_sums(sums[..., COLUMNS:]), np.nan)
    scores = {"bleu": bleu, "exact_match": exact_match, "slot_accuracy": slot_accuracy}
    return scores if sums.shape[-1] == COLUMNS else {**scores, "chrf": chrf}


@dataclasses.dataclass(frozen=True)
class StudySet:
    """The utterances of a test set by content.

    What is resampled is contents, not utterances: where languages share a content, one
    that is easy in one language tends to be easy in another one.
    """

    name: str
    """Name of the set."""
    refs: Mapping[str, str]
    """Reference of every utterance."""
    rows: Mapping[str, Mapping[str, int]]
    """By language: number of its content, of every utterance."""
    size: int
    """Number of contents N."""

    @classmethod
    def from_utterances(
        cls, name: str, utterances: Sequence[RunUtterance]
    ) -> "StudySet":
        """Number the contents: equal references, occurrence by occurrence.

        Args:
            name: Name of the set.
            utterances: All of its utterances.
        """
        numbers: dict[tuple[str, int], int] = {}
        seen: Counter[tuple[str, str]] = Counter()
        rows: dict[str, dict[str, int]] = {}
        for utt in sorted(utterances, key=lambda utt: utt.id):
            key = (utt.ref, seen[utt.lang, utt.ref])
            seen[utt.lang, utt.ref] += 1
            number = numbers.setdefault(key, len(numbers))
            rows.setdefault(utt.lang, {})[utt.id] = number
        refs = {utt.id: utt.ref for utt in utterances}
        return cls(name, refs, dict(sorted(rows.items())), len(numbers))

    def statistics(
        self,
        utterances: Sequence[RunUtterance],
        label: str,
        metrics: Sequence[str] = METRICS,
    ) -> dict[str, np.ndarray]:
        """Return the statistics of every content, by language.

        Args:
            utterances: The utterances of this set, as some system translated them.
            label: What they are, for messages.
            metrics: What is scored.

        Returns:
            Arrays (N, columns); zeros for contents that a language does not have.

        Raises:
            ValueError: For other utterances, languages or references than the set has.
        """
        given = {utt.id: (utt.lang, utt.ref) for utt in utterances}
        wanted = {
            utt: (lang, self.refs[utt])
            for lang, numbers in self.rows.items()
            for utt in numbers
        }
        if given != wanted:
            odd = [u for u in {**wanted, **given} if given.get(u) != wanted.get(u)]
            raise ValueError(
                f"{label}: utterances, languages and references of '{self.name}' must "
                f"be those of the other runs, {len(odd)} are not, e.g. '{odd[0]}': "
                f"{given.get(odd[0])} instead of {wanted.get(odd[0])}"
            )
        tables = {}
        for lang, numbers in self.rows.items():
            members = [utt for utt in utterances if utt.lang == lang]
            found = segment_statistics(members, metrics)
            table = np.zeros((self.size, found.shape[1]))
            table[[numbers[utt.id] for utt in members]] = found
            tables[lang] = table
        return tables


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
        metrics: Sequence[str] = METRICS,
    ):
        """Draw.

        Args:
            study_set: The test set, of N contents.
            supervised: Languages with translations in training.
            zero_shot: Languages without.
            samples: Number of drawn sets R.
            seed: Seed of the draws.
            metrics: What is scored, BLEU first.

        Raises:
            ValueError: For fewer than one sample, an unknown metric.
        """
        if samples < 1:
            raise ValueError(f"samples must be at least 1: {samples}")
        if unknown := [name for name in metrics if name not in GREATEST]:
            raise ValueError(f"metrics must be of {[*GREATEST]}: {unknown}")
        self.metrics = tuple(metrics)
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
        shape = (len(self.metrics), len(self.scopes), len(self.counts))
        scores = np.full(shape, np.nan)
        place = {scope: i for i, scope in enumerate(self.scopes)}
        for lang, table in statistics.items():
            values = score_sums(self.counts @ table)
            if table[:, COLUMNS - 1].sum() < LEAST_SLOTS:
                values["slot_accuracy"] = np.full(len(self.counts), np.nan)
            for i, metric in enumerate(self.metrics):
                scores[i, place[lang]] = values[metric]
        for name, langs in self.groups.items():
            members = [place[lang] for lang in langs]
            scores[:, place[name]] = scores[:, members].mean(axis=1)
        if GAP in place:
            gap = scores[:, place[SUPERVISED]] - scores[:, place[ZERO_SHOT]]
            scores[:, place[GAP]] = gap
        return scores
