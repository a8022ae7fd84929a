"""The difference of two arms, in pairs of sentences and, where there are, of seeds."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from study.estimate import draw_seeds, limits, seed_noise


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
