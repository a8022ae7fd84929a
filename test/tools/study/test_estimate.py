"""Tests of study.estimate."""

import numpy as np
import pytest
from scipy import stats

from study.estimate import correlate, estimate_difference, estimate_mean

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


def by_seed(values):
    """Scores by seed that no drawn set changes."""
    return {seed: np.full(1 + SAMPLES, value) for seed, value in values.items()}


A = {1: 50.0, 2: 54.0, 3: 49.0, 4: 55.0}
B = {1: 40.0, 2: 45.0, 3: 38.0, 4: 47.0}


def test_all_seeds_in_pairs_are_the_paired_t_test():
    found = estimate_difference(by_seed(A), by_seed(B))
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
    found = estimate_difference(by_seed(A), by_seed(other))
    wanted = stats.ttest_ind([*A.values()], [*other.values()], equal_var=False)
    interval = wanted.confidence_interval(0.95)
    assert found.interval == pytest.approx(tuple(interval), rel=0.01)
    assert found.p_value == pytest.approx(wanted.pvalue, abs=1e-3)
    assert found.paired == () and found.unpaired == (1, 2, 3, 4, 11, 12, 13)


def test_some_pairs():
    """Seeds 1-3 in pairs, 4 and 5 of one arm: variances by hand."""
    more = {**B, 5: 41.0}
    less = {seed: A[seed] for seed in (1, 2, 3)}
    found = estimate_difference(by_seed(less), by_seed(more))
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
    found = estimate_difference(by_seed(a), by_seed(B))
    assert found.verdict == verdict
    assert found.to_dict()["verdict"] == verdict


def test_undefined_difference():
    assert estimate_difference(by_seed({1: np.nan}), by_seed(B)) is None


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


def test_coverage_of_differences():
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
    found = estimate_difference(by_seed({2: 60.0}), by_seed(A))
    assert (found.value, found.paired, found.unpaired) == (6.0, (2,), ())
    assert not found.covers_seeds
    found = estimate_difference(by_seed(A), by_seed({2: 60.0}))
    assert found.value == -6.0
    # Where the other has not that seed: its mean.
    found = estimate_difference(by_seed({9: 60.0}), by_seed(A))
    assert found.value == 60.0 - 52.0
    assert (found.paired, found.unpaired) == ((), (1, 2, 3, 4, 9))


ARMS = ["b", "b", "c", "c", "d", "d"]


def test_spearman_by_hand():
    # Ranks 1 2 3 4 5 6 and 2 1 3 4 6 5: 1 - 6 * 4 / (6 * 35)
    found = correlate([1, 2, 3, 4, 5, 6], [20, 10, 30, 40, 60, 50], ARMS, 200)
    assert found.rho == pytest.approx(1 - 24 / 210)
    assert found.runs == 6 and found.arms == 3
    low, high = found.interval
    assert -1 <= low < found.rho < high <= 1
    assert found.to_dict()["measure"] == "Spearman's rho"


def test_perfect_order_has_no_width():
    found = correlate([1, 2, 3, 4, 5, 6], [1, 4, 9, 16, 25, 36], ARMS, 100)
    assert found.interval == pytest.approx((1.0, 1.0))


@pytest.mark.parametrize(
    "x, arms, rho",
    [([1, 1, 1], ["b", "c", "d"], None), ([1, 2, 3], ["b", "b", "c"], 1.0)],
)
def test_no_interval(x, arms, rho):
    found = correlate(x, [1, 2, 3], arms, 10)
    assert found.rho == (None if rho is None else pytest.approx(rho))
    assert found.interval is None


def test_no_run():
    assert correlate([], [], [], 10).rho is None
