"""Tests of study.estimate."""

import numpy as np
import pytest
from scipy import stats

from study.estimate import estimate_mean

SAMPLES = 4000
WIDE = (-1e9, 1e9)


def constant(values):
    """Scores that no drawn set changes."""
    return {i + 1: np.full(1 + SAMPLES, value) for i, value in enumerate(values)}


@pytest.mark.parametrize("values", [(40.0, 43.0, 50.0), (1.0, 2.0, 4.0, 8.0, 9.0)])
def test_seeds_alone_give_the_interval_of_student(values):
    estimate = estimate_mean(constant(values), WIDE)
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    wanted = stats.t.interval(0.95, len(values) - 1, np.mean(values), error)
    assert estimate.value == pytest.approx(np.mean(values))
    assert estimate.interval == pytest.approx(wanted, abs=0.1)
    assert estimate.deviation == pytest.approx(np.std(values, ddof=1))
    assert estimate.by_seed == {i + 1: value for i, value in enumerate(values)}
    # The plain one is never wider than the seeds themselves.
    assert min(values) <= estimate.percentile[0] <= estimate.percentile[1]
    assert estimate.percentile[1] <= max(values)


def test_sentences_alone_give_percentiles():
    drawn = np.arange(-50, 51) / 10
    scores = {seed: np.concatenate([[20.0], 20.0 + drawn]) for seed in (1, 2, 3)}
    estimate = estimate_mean(scores, WIDE)
    assert estimate.interval == pytest.approx((15.25, 24.75))
    assert estimate.percentile == pytest.approx((15.25, 24.75))


def test_one_seed_says_nothing_about_others():
    drawn = np.arange(-50, 51) / 10
    estimate = estimate_mean({4: np.concatenate([[20.0], 20.0 + drawn])}, WIDE)
    assert not estimate.covers_seeds and estimate.deviation is None
    assert estimate.interval == pytest.approx((15.25, 24.75))
    assert estimate.to_dict()["by_seed"] == {"4": 20.0}


def test_interval_ends_at_the_bounds():
    estimate = estimate_mean(constant((80.0, 99.0)), (0.0, 100.0))
    assert estimate.interval == (0.0, 100.0)


def test_undefined_scores():
    scores = constant((1.0, 2.0))
    scores[2][0] = np.nan
    assert estimate_mean(scores, WIDE) is None
    scores[2][0] = 2.0
    scores[2][5] = np.nan  # a drawn set without a slot word
    assert np.isfinite(estimate_mean(scores, WIDE).interval).all()


@pytest.mark.parametrize(
    "seeds, by_seed, by_sentence, by_both",
    [(3, 1.0, 0.0, 0.0), (5, 1.0, 0.0, 0.0), (3, 1.0, 10.0, 5.0), (5, 0.3, 10.0, 5.0)],
)
def test_coverage(seeds, by_seed, by_sentence, by_both):
    """The truth, 0, is within the interval in 95 % of simulated studies or more.

    A score is the mean over sentences of seed + sentence + what is left, all normal.
    """
    rng = np.random.default_rng(3)
    sentences, studies, samples = 60, 500, 400
    counts = rng.multinomial(sentences, np.full(sentences, 1 / sentences), samples)
    weights = np.vstack([np.ones(sentences), counts]) / sentences
    covered = plain = 0
    for _ in range(studies):
        table = (
            rng.normal(0, by_seed, (seeds, 1))
            + rng.normal(0, by_sentence, (1, sentences))
            + rng.normal(0, by_both, (seeds, sentences))
        )
        estimate = estimate_mean(dict(enumerate(table @ weights.T)), WIDE)
        covered += estimate.interval[0] <= 0 <= estimate.interval[1]
        plain += estimate.percentile[0] <= 0 <= estimate.percentile[1]
    # Standard error of 500 studies: 1 %.
    assert 0.93 <= covered / studies <= 0.995
    if not by_sentence:
        # Why seeds are not simply drawn as sentences are.
        assert plain / studies < {3: 0.8, 5: 0.88}[seeds]
