"""Tests of study.sufficient_statistics."""

import random

import numpy as np
import pytest
from sacrebleu.metrics import BLEU

from study.run_utterance import RunUtterance
from study.sufficient_statistics import (
    BLEU_COLUMNS,
    bleu_of_sums,
    score_sums,
    segment_statistics,
)


def make(hyp, ref, exact=0, right=0, slots=1):
    return RunUtterance("u", "it", ref, hyp, exact, right, slots)


def sacrebleu_score(utterances):
    hyps = [utt.hyp for utt in utterances]
    return BLEU().corpus_score(hyps, [[utt.ref for utt in utterances]]).score


def test_bleu_equals_sacrebleu():
    rng = random.Random(0)
    words = "a b c d e f . , don't ten".split()
    seen = set()
    for _ in range(300):
        utterances = [
            make(
                " ".join(rng.choices(words, k=rng.randint(0, 9))),
                " ".join(rng.choices(words, k=rng.randint(1, 9))),
            )
            for _ in range(rng.randint(1, 4))
        ]
        sums = segment_statistics(utterances).sum(axis=0)
        wanted = sacrebleu_score(utterances)
        assert bleu_of_sums(sums[:BLEU_COLUMNS]) == pytest.approx(wanted, abs=1e-9)
        seen.add(round(wanted))
    assert len(seen) > 10 and 0 in seen  # smoothed, brief and empty ones are there


@pytest.mark.parametrize(
    "hyp, bleu",
    [("a b c d e", 100.0), ("", 0.0), ("x y z v w", 0.0), ("a b c", 0.0)],
)
def test_bleu_by_eye(hyp, bleu):
    sums = segment_statistics([make(hyp, "a b c d e")])[0]
    assert bleu_of_sums(sums[:BLEU_COLUMNS]) == pytest.approx(bleu)


def test_other_metrics_are_shares_of_the_sums():
    utterances = [
        make("one two", "one two", exact=1, right=2, slots=2),
        make("one two", "one ten", exact=0, right=1, slots=2),
        make("hello", "good day", exact=0, right=0, slots=0),
    ]
    scores = score_sums(segment_statistics(utterances).sum(axis=0))
    assert scores["exact_match"] == pytest.approx(1 / 3)
    assert scores["slot_accuracy"] == pytest.approx(3 / 4)
    none = score_sums(segment_statistics(utterances[2:]).sum(axis=0))
    assert np.isnan(none["slot_accuracy"])
    assert all(np.isnan(score) for score in score_sums(np.zeros(14)).values())
