"""Tests of study.difference."""

import numpy as np
import pytest
from scipy import stats

from study.difference import estimate_difference

SAMPLES = 4000


def constant(values):
    """Scores by seed that no drawn set changes."""
    return {seed: np.full(1 + SAMPLES, value) for seed, value in values.items()}


A = {1: 50.0, 2: 54.0, 3: 49.0, 4: 55.0}
B = {1: 40.0, 2: 45.0, 3: 38.0, 4: 47.0}


def test_all_seeds_in_pairs_are_the_paired_t_test():
    found = estimate_difference(constant(A), constant(B))
    wanted = stats.ttest_rel([*A.values()], [*B.values()])
    assert found.value == pytest.approx(9.5)
    interval = wanted.confidence_interval(0.95)
    assert found.interval == pytest.approx(tuple(interval), rel=0.01)
    assert found.p_value == pytest.approx(wanted.pvalue, abs=1e-3)
    assert found.paired == (1, 2, 3, 4) and found.unpaired == ()
    # Cohen's d by hand: squares 26 and 53 over 6 degrees of freedom.
    assert found.effect_size == pytest.approx(9.5 / np.sqrt(79 / 6))
    assert found.verdict == "holds" and found.covers_seeds
    # Differences are 10, 9, 11, 8: a drawn mean is between the ends.
    assert 8 <= found.percentile[0] < 9.5 < found.percentile[1] <= 11


def test_no_pairs_are_the_test_of_welch():
    other = {seed + 10: value for seed, value in B.items()}
    del other[14]
    found = estimate_difference(constant(A), constant(other))
    wanted = stats.ttest_ind([*A.values()], [*other.values()], equal_var=False)
    interval = wanted.confidence_interval(0.95)
    assert found.interval == pytest.approx(tuple(interval), rel=0.01)
    assert found.p_value == pytest.approx(wanted.pvalue, abs=1e-3)
    assert found.paired == () and found.unpaired == (1, 2, 3, 4, 11, 12, 13)


def test_some_pairs():
    """Seeds 1-3 in pairs, 4 and 5 of one arm: variances by hand."""
    more = {**B, 5: 41.0}
    less = {seed: A[seed] for seed in (1, 2, 3)}
    found = estimate_difference(constant(less), constant(more))
    both = [less[seed] / 3 - more[seed] / 5 for seed in less]
    pairs = 3 * np.var(both, ddof=1)
    rest = 2 * np.var([*more.values()], ddof=1) / 25
    error = np.sqrt(pairs + rest)
    freedom = (pairs + rest) ** 2 / (pairs**2 / 2 + rest**2 / 4)
    assert found.value == pytest.approx(51 - 42.2)
    wanted = stats.t.interval(0.95, freedom, 51 - 42.2, error)
    assert found.interval == pytest.approx(wanted, rel=0.01)
    assert found.paired == (1, 2, 3) and found.unpaired == (4, 5)


def test_sentences_are_paired():
    """What a drawn set adds to both arms is not in their difference."""
    rng = np.random.default_rng(0)
    noise = np.concatenate([[0.0], rng.normal(0, 9, SAMPLES)])
    a = {seed: 30 + noise for seed in (1, 2, 3)}
    b = {seed: 20 + noise for seed in (1, 2, 3)}
    found = estimate_difference(a, b)
    assert found.interval == pytest.approx((10, 10))
    assert found.p_value == pytest.approx(2 / (SAMPLES + 1))
    assert found.effect_size is None  # seeds do not differ


@pytest.mark.parametrize(
    "a, verdict",
    [
        ({1: 1.0, 2: 1.1, 3: 0.9}, "refuted"),
        ({1: 30.0, 2: 60.0, 3: 45.0}, "undecided"),
        ({7: 90.0}, "undecided (too few seeds)"),
    ],
)
def test_verdicts(a, verdict):
    found = estimate_difference(constant(a), constant(B))
    assert found.verdict == verdict
    assert found.to_dict()["verdict"] == verdict


def test_undefined_scores():
    assert estimate_difference(constant({1: np.nan}), constant(B)) is None


def test_drawn_sets_without_a_score_say_nothing_of_p():
    rng = np.random.default_rng(0)
    drawn = rng.normal(1, 1, SAMPLES + 1)
    drawn[0] = 1.0
    drawn[1::2] = np.nan
    known = drawn[2::2]
    found = estimate_difference({1: drawn}, {1: np.zeros(SAMPLES + 1)})
    below = np.sum(known <= 0)
    assert below > 5
    assert found.p_value == pytest.approx(2 * (below + 1) / (len(known) + 1))


def test_coverage():
    """Seeds that raise or lower both arms alike; 3 seeds of one arm, 5 of the other."""
    rng = np.random.default_rng(5)
    sentences, studies, samples = 60, 400, 400
    counts = rng.multinomial(sentences, np.full(sentences, 1 / sentences), samples)
    weights = np.vstack([np.ones(sentences), counts]) / sentences
    covered = 0
    for _ in range(studies):
        shared = rng.normal(0, 1, (5, 1)) + rng.normal(0, 8, (1, sentences))
        a, b = (
            shared + rng.normal(0, 1, (5, 1)) + rng.normal(0, 4, (5, sentences))
            for _ in range(2)
        )
        found = estimate_difference(
            dict(enumerate(a[:3] @ weights.T)), dict(enumerate(b @ weights.T))
        )
        covered += found.interval[0] <= 0 <= found.interval[1]
    assert 0.93 <= covered / studies <= 0.995


def test_one_seed_is_compared_with_the_same_one():
    found = estimate_difference(constant({2: 60.0}), constant(A))
    assert (found.value, found.paired, found.unpaired) == (6.0, (2,), ())
    assert not found.covers_seeds
    found = estimate_difference(constant(A), constant({2: 60.0}))
    assert found.value == -6.0
    # Where the other has not that seed: its mean.
    found = estimate_difference(constant({9: 60.0}), constant(A))
    assert found.value == 60.0 - 52.0
    assert (found.paired, found.unpaired) == ((), (1, 2, 3, 4, 9))
