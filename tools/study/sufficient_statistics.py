"""What corpus scores are made of, sentence by sentence, so that sets can be resampled.

A corpus score is a function of sums over sentences. With the summands at hand, the
score of a resampled set is a product of two matrices and one formula.
"""

from collections.abc import Sequence

import numpy as np
from sacrebleu.metrics import BLEU
from sacrebleu.metrics.bleu import MAX_NGRAM_ORDER

from study.run_utterance import RunUtterance

METRICS = ("bleu", "exact_match", "slot_accuracy")
GREATEST = {"bleu": 100.0, "exact_match": 1.0, "slot_accuracy": 1.0}
BLEU_COLUMNS = 2 + 2 * MAX_NGRAM_ORDER  # lengths, then n-grams: right ones, all
COLUMNS = BLEU_COLUMNS + 4  # sentences, equal ones, slot words: right ones, all


def bleu_metric() -> BLEU:
    """Return the metric: sacreBLEU's defaults, as for all scores of English here."""
    return BLEU(tokenize="13a")


def segment_statistics(utterances: Sequence[RunUtterance]) -> np.ndarray:
    """Return the summands of all metrics.

    Args:
        utterances: N utterances, at least one.

    Returns:
        Array (N, `COLUMNS`): sacreBLEU's own statistics of BLEU, then 1, whether it is
        equal to the reference, slot words that are right, slot words.
    """
    # sacreBLEU's significance tests take their statistics from the same method.
    bleu = bleu_metric()._extract_corpus_statistics(
        [u.hyp for u in utterances], [[u.ref for u in utterances]]
    )
    others = [(1, u.exact, u.slots_right, u.slots) for u in utterances]
    return np.hstack([np.asarray(bleu, float), np.asarray(others, float)])


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
    sentences, equal, right, slots = np.moveaxis(sums[..., BLEU_COLUMNS:], -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        exact_match, slot_accuracy = equal / sentences, right / slots
        bleu = np.where(sentences > 0, bleu_of_sums(sums[..., :BLEU_COLUMNS]), np.nan)
    return {"bleu": bleu, "exact_match": exact_match, "slot_accuracy": slot_accuracy}
