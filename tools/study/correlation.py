"""Whether one figure of a run predicts another one."""

import dataclasses
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from study.estimate import SEED, limits

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
