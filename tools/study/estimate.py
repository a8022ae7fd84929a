"""Means, differences and correlations with their 95 % intervals."""

import dataclasses
import functools
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

SEED = 20261122  # of the draws that an interval is made of
OUTSIDE = 0.05  # share of an interval's complement


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean over seeds."""

    value: float
    """The mean."""
    interval: tuple[float, float]
    """95 % interval over seeds and sentences; over sentences for one seed alone."""
    percentile: tuple[float, float]
    """Plain percentiles of drawn seeds and sentences: too narrow where seeds decide."""
    by_seed: Mapping[int, float]
    """Value of every seed."""

    @property
    def covers_seeds(self) -> bool:
        """Whether there were seeds enough to see how much they differ."""
        return len(self.by_seed) > 1

    @property
    def deviation(self) -> float | None:
        """Standard deviation over seeds."""
        if not self.covers_seeds:
            return None
        return float(np.std([*self.by_seed.values()], ddof=1))

    def to_dict(self) -> dict[str, Any]:
        """Return all figures, for JSON."""
        return {
            "mean": self.value,
            "interval": [*self.interval],
            "percentile": [*self.percentile],
            "covers_seeds": self.covers_seeds,
            "sd_over_seeds": self.deviation,
            "by_seed": {str(seed): value for seed, value in self.by_seed.items()},
        }


def limits(replicates: np.ndarray) -> tuple[float, float]:
    """Return the ends of a 95 % interval.

    Args:
        replicates: Array (R,), NaN where a drawn set has no score.
    """
    low, high = np.nanquantile(replicates, [OUTSIDE / 2, 1 - OUTSIDE / 2])
    return float(low), float(high)


@functools.lru_cache(maxsize=64)
def _student_draws(freedom: float, samples: int) -> np.ndarray:
    """Return the quantiles of Student's t, one for each draw, in random order."""
    order = np.random.default_rng(SEED).permutation(samples)
    return stats.t.ppf((order + 0.5) / samples, freedom)


def seed_noise(error: float, freedom: float, samples: int) -> np.ndarray:
    """Return what other seeds would have added to a mean.

    Three or five seeds are too few to draw from: percentiles of such draws cover the
    truth in about 72 and 83 of 100 cases. Student's t knows how little is known.

    Args:
        error: Standard error over seeds.
        freedom: Its degrees of freedom.
        samples: Number of draws R.

    Returns:
        Array (R,).
    """
    if not error:
        return np.zeros(samples)
    return error * _student_draws(freedom, samples)


@functools.lru_cache(maxsize=64)
def draw_seeds(seeds: int, samples: int) -> np.ndarray:
    """Return how often each seed is drawn, array (R, seeds)."""
    rng = np.random.default_rng(SEED)
    return rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=samples)


def estimate_mean(
    scores: Mapping[int, np.ndarray], bounds: tuple[float, float]
) -> Estimate | None:
    """Estimate the mean over seeds with intervals over seeds and sentences.

    Each replicate is the mean score of all seeds on a drawn set, and a draw of what
    other seeds would have added (`seed_noise`).

    Args:
        scores: By seed: array (1 + R,), the score and those of the drawn sets.
        bounds: Least and greatest possible score: the interval ends there.

    Returns:
        The estimate; None where a score is not defined.
    """
    table = np.stack([*scores.values()])
    whole, drawn = table[:, 0], table[:, 1:]
    if not len(whole) or np.isnan(whole).any():
        return None
    number, samples = drawn.shape
    replicates = drawn.mean(axis=0)
    if number > 1:
        error = np.std(whole, ddof=1) / np.sqrt(number)
        replicates = replicates + seed_noise(error, number - 1, samples)
    weights = draw_seeds(number, samples) / number
    return Estimate(
        value=float(whole.mean()),
        interval=limits(replicates.clip(*bounds)),
        percentile=limits((weights * drawn.T).sum(axis=1)),
        by_seed={seed: float(value) for seed, value in zip(scores, whole)},
    )


@dataclasses.dataclass(frozen=True)
class Difference:
    """Mean of an arm minus mean of another one."""

    value: float
    """The difference."""
    interval: tuple[float, float]
    """95 % interval over seeds and sentences; over sentences where an arm has one seed
    and there are no pairs."""
    percentile: tuple[float, float]
    """Plain percentiles of drawn seeds and sentences: too narrow where seeds decide."""
    p_value: float
    """Probability of such a difference by chance, two-sided."""
    effect_size: float | None
    """Cohen's d: the difference over the standard deviation over seeds, pooled over
    both arms; None where there is none."""
    paired: tuple[int, ...]
    """Seeds that both arms have."""
    unpaired: tuple[int, ...]
    """Seeds that one of them has."""
    covers_seeds: bool
    """Whether the interval is over seeds as well."""

    @property
    def verdict(self) -> str:
        """Return whether the arm is better: holds, refuted or undecided."""
        low, high = self.interval
        if not self.covers_seeds:
            return "undecided (too few seeds)"
        return "holds" if low > 0 else "refuted" if high < 0 else "undecided"

    def to_dict(self) -> dict[str, Any]:
        """Return all figures, for JSON."""
        return {**dataclasses.asdict(self), "verdict": self.verdict}


def _pooled_deviation(a: np.ndarray, b: np.ndarray) -> float:
    """Return the standard deviation over seeds, pooled; 0 for one seed each."""
    squares = sum(float(np.sum((x - x.mean()) ** 2)) for x in (a, b))
    return float(np.sqrt(squares / max(1, len(a) + len(b) - 2)))


def _seed_error(
    a: Mapping[int, float], b: Mapping[int, float], paired: list[int]
) -> tuple[float, float] | None:
    """Return standard error over seeds and degrees of freedom of a difference.

    The paired t test where all seeds are in pairs, Welch's where none is; between the
    two, variances add up, and so do their degrees of freedom after Satterthwaite.

    Args:
        a: Score by seed.
        b: The same of the other arm.
        paired: Seeds that both have.

    Returns:
        None where it cannot be known.
    """
    pairs = paired if len(paired) > 1 else []
    parts = []  # variance of the difference, degrees of freedom
    if pairs:
        both = [a[seed] / len(a) - b[seed] / len(b) for seed in pairs]
        parts.append((len(pairs) * np.var(both, ddof=1), len(pairs) - 1))
    for arm in (a, b):
        others = len(arm) - len(pairs)
        if others and len(arm) < 2:
            return None
        if others:
            variance = np.var([*arm.values()], ddof=1)
            parts.append((others * variance / len(arm) ** 2, len(arm) - 1))
    variance = sum(part for part, _ in parts)
    if not variance:
        return 0.0, 1.0
    freedom = variance**2 / sum(part**2 / degrees for part, degrees in parts)
    return float(np.sqrt(variance)), float(freedom)


def estimate_difference(
    a: Mapping[int, np.ndarray], b: Mapping[int, np.ndarray]
) -> Difference | None:
    """Estimate the difference of two arms, `a` minus `b`.

    Each replicate is the difference of their means on the same drawn set (paired by
    sentence), and a draw of what other seeds would have added (paired by seed). An arm
    of one seed is compared with the same seed of the other, if it has that.

    Args:
        a: By seed: array (1 + R,), the score and those of the drawn sets.
        b: The same of the other arm.

    Returns:
        The difference; None where a score is not defined.
    """
    paired = [seed for seed in a if seed in b]
    if paired and min(len(a), len(b)) == 1:
        # Other seeds of one arm alone would make a difference of seeds.
        a, b = ({seed: arm[seed] for seed in paired} for arm in (a, b))
    tables = [np.stack([*arm.values()]) for arm in (a, b)]
    wholes = [table[:, 0] for table in tables]
    if any(np.isnan(whole).any() for whole in wholes):
        return None
    value = float(wholes[0].mean() - wholes[1].mean())
    replicates = tables[0][:, 1:].mean(axis=0) - tables[1][:, 1:].mean(axis=0)
    samples = len(replicates)
    error = _seed_error(
        *({seed: float(row[0]) for seed, row in arm.items()} for arm in (a, b)), paired
    )
    if error is not None:
        replicates = replicates + seed_noise(*error, samples)

    # For plain percentiles a seed is drawn for both arms.
    union = sorted({*a, *b})
    drawn = draw_seeds(len(union), samples)
    means = []
    for arm, table in zip((a, b), tables):
        weights = drawn[:, [union.index(seed) for seed in arm]]
        with np.errstate(invalid="ignore"):  # of this arm, no seed may be drawn
            means.append((weights * table[:, 1:].T).sum(axis=1) / weights.sum(axis=1))

    known = replicates[~np.isnan(replicates)]
    nearer = min(np.sum(known <= 0), np.sum(known >= 0))
    pooled = _pooled_deviation(*wholes)
    return Difference(
        value=value,
        interval=limits(replicates),
        percentile=limits(means[0] - means[1]),
        p_value=float(min(1.0, 2 * (nearer + 1) / (len(known) + 1))),
        effect_size=value / pooled if pooled else None,
        paired=tuple(sorted(paired)),
        unpaired=tuple(seed for seed in union if (seed in a) != (seed in b)),
        covers_seeds=error is not None,
    )


LEAST_ARMS = 3


@dataclasses.dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation over runs."""

    rho: float | None
    """The correlation; None where one of the figures is always the same."""
    interval: tuple[float, float] | None
    """95 % interval over arms; None for fewer than `LEAST_ARMS` of them."""
    runs: int
    """Number of runs."""
    arms: int
    """Number of arms that they are of."""

    def to_dict(self) -> dict[str, Any]:
        """Return all figures, for JSON."""
        return {"measure": "Spearman's rho", **dataclasses.asdict(self)}


def _spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Return the correlation of ranks, ties sharing theirs; NaN where undefined."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.ConstantInputWarning)
        return float(stats.spearmanr(x, y).statistic) if len(x) > 1 else np.nan


def correlate(
    x: Sequence[float], y: Sequence[float], arms: Sequence[str], samples: int
) -> Correlation:
    """Correlate two figures over runs.

    Runs of one arm are alike, so that arms, with all their runs, are drawn for the
    interval, not runs.

    Args:
        x: Figure of N runs.
        y: Another one.
        arms: Arm of each run.
        samples: Number of draws.
    """
    first, second, names = np.asarray(x), np.asarray(y), np.asarray(arms)
    members = [np.flatnonzero(names == name) for name in dict.fromkeys(arms)]
    rho = _spearman(first, second)
    interval = None
    if len(members) >= LEAST_ARMS and np.isfinite(rho):
        rng = np.random.default_rng(SEED)
        values = np.empty(samples)
        for i, drawn in enumerate(
            rng.integers(len(members), size=(samples, len(members)))
        ):
            rows = np.concatenate([members[arm] for arm in drawn])
            values[i] = _spearman(first[rows], second[rows])
        interval = limits(values)
    known = rho if np.isfinite(rho) else None
    return Correlation(known, interval, len(first), len(members))
