"""All figures of a study on one test set."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from study.arm_runs import ArmRuns
from study.difference import Difference, estimate_difference
from study.estimate import Estimate, estimate_mean
from study.resampling import GAP, Resampling
from study.run_utterance import RunUtterance
from study.sufficient_statistics import GREATEST, METRICS

Estimates = Mapping[str, Mapping[str, Estimate | None]]
"""Estimates by scope (a language, a mean, the gap) and metric."""
Differences = Mapping[str, Mapping[str, Difference | None]]
"""Differences by scope and metric."""


@dataclasses.dataclass(frozen=True)
class SetScores:
    """Scores and differences on a test set."""

    name: str
    """Name of the set."""
    languages: tuple[str, ...]
    """Its languages."""
    scopes: tuple[str, ...]
    """Languages, means and gap."""
    contents: int
    """Number of different contents N."""
    arms: Mapping[str, Estimates]
    """Estimates of every arm with a run that finished."""
    floor: Estimates | None
    """Those of the template floor, if it was given."""
    differences: Mapping[tuple[str, str], Differences]
    """Differences by arm and the arm that it is compared with."""

    def to_dict(self) -> dict[str, Any]:
        """Return all figures, for JSON."""

        def plain(table: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
            return {
                scope: {
                    metric: None if figure is None else figure.to_dict()
                    for metric, figure in metrics.items()
                }
                for scope, metrics in table.items()
            }

        return {
            "languages": [*self.languages],
            "contents": self.contents,
            "arms": {name: plain(table) for name, table in self.arms.items()},
            "template_floor": None if self.floor is None else plain(self.floor),
            "differences": {
                f"{arm} - {against}": plain(table)
                for (arm, against), table in self.differences.items()
            },
        }


def _cells(
    resampling: Resampling, by_seed: Mapping[int, np.ndarray]
) -> dict[str, dict[str, dict[int, np.ndarray]]]:
    """Return scores by scope, metric and seed."""
    return {
        scope: {
            metric: {seed: scores[i, j] for seed, scores in by_seed.items()}
            for i, metric in enumerate(METRICS)
        }
        for j, scope in enumerate(resampling.scopes)
    }


def score_set(
    resampling: Resampling,
    arms: Sequence[ArmRuns],
    pairs: Sequence[tuple[str, str]],
    floor: Sequence[RunUtterance] | None = None,
) -> SetScores:
    """Compute all figures of a test set.

    Args:
        resampling: The test set with its draws.
        arms: All arms.
        pairs: Arms to compare, and with which; those without a run are left out.
        floor: The template floor's translations, one for each utterance.

    Raises:
        ValueError: For a run with other utterances than the set has.
    """
    name = resampling.set.name
    cells = {}
    for arm in arms:
        by_seed = {}
        for seed, run in arm.finished.items():
            if name not in run.utterances:
                continue
            label = f"{arm.name}, seed {seed}"
            statistics = resampling.set.statistics(run.utterances[name], label)
            by_seed[seed] = resampling.score(statistics)
        if by_seed:
            cells[arm.name] = _cells(resampling, by_seed)

    def estimate(table: Mapping[str, Mapping[str, Any]]) -> Estimates:
        return {
            scope: {
                metric: estimate_mean(
                    scores,
                    (-GREATEST[metric] if scope == GAP else 0.0, GREATEST[metric]),
                )
                for metric, scores in metrics.items()
            }
            for scope, metrics in table.items()
        }

    differences: dict[tuple[str, str], Differences] = {}
    for arm_name, against in dict.fromkeys(pairs):
        if arm_name in cells and against in cells:
            a, b = cells[arm_name], cells[against]
            differences[arm_name, against] = {
                scope: {
                    m: estimate_difference(a[scope][m], b[scope][m]) for m in a[scope]
                }
                for scope in a
            }
    floors = None
    if floor is not None:
        statistics = resampling.set.statistics(floor, "template floor")
        floors = estimate(_cells(resampling, {0: resampling.score(statistics)}))
    return SetScores(
        name=name,
        languages=tuple(resampling.set.rows),
        scopes=tuple(resampling.scopes),
        contents=resampling.set.size,
        arms={arm_name: estimate(table) for arm_name, table in cells.items()},
        floor=floors,
        differences=differences,
    )
