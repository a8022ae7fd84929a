"""All figures of a study on one test set, and the verdicts on them."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from study.arm_runs import ArmRuns
from study.arms import Comparison
from study.estimate import Difference, Estimate, estimate_difference, estimate_mean
from study.resampling import GAP, GREATEST, METRICS, ZERO_SHOT, Resampling
from study.run_file import RunUtterance


def adjust(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number.

    Reference:
        Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979.

    Args:
        p_values: P-values of a family of tests.

    Returns:
        Adjusted ones, in the same order.
    """
    adjusted = [0.0] * len(p_values)
    worst = 0.0
    ranked = sorted(range(len(p_values)), key=lambda i: p_values[i])
    for rank, i in enumerate(ranked):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = worst
    return adjusted


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
    labels: Mapping[str, str]
    """What tables and charts call an arm, by its name."""
    baselines: tuple[str, ...] = ()
    """Arms that every other one is compared with."""
    pairs: tuple[tuple[str, str], ...] = ()
    """Further arms that are compared, and with which."""
    metrics: tuple[str, ...] = METRICS
    """What is scored, BLEU first."""

    def label(self, name: str) -> str:
        """Return what an arm is called; the name of one that is not in the plan."""
        return self.labels.get(name, name)

    def compare(self, arm: str, against: str) -> str:
        """Return what is subtracted from what."""
        return f"{self.label(arm)} less {self.label(against)}"

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
            for i, metric in enumerate(resampling.metrics)
        }
        for j, scope in enumerate(resampling.scopes)
    }


def score_set(
    resampling: Resampling,
    arms: Sequence[ArmRuns],
    pairs: Sequence[tuple[str, str]],
    floor: Sequence[RunUtterance] | None = None,
    baselines: Sequence[str] = (),
    further: Sequence[tuple[str, str]] = (),
) -> SetScores:
    """Compute all figures of a test set.

    Args:
        resampling: The test set with its draws.
        arms: All arms.
        pairs: Arms to compare, and with which; those without a run are left out.
        floor: The template floor's translations, one for each utterance.
        baselines: Arms that every other one is compared with, too.
        further: Pairs that have a table of their own.

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
            statistics = resampling.set.statistics(
                run.utterances[name], label, resampling.metrics
            )
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
    every = [(arm.name, b) for b in baselines for arm in arms if arm.name != b]
    for arm_name, against in dict.fromkeys([*every, *pairs, *further]):
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
        statistics = resampling.set.statistics(
            floor, "template floor", resampling.metrics
        )
        floors = estimate(_cells(resampling, {0: resampling.score(statistics)}))
    return SetScores(
        name=name,
        languages=tuple(resampling.set.rows),
        scopes=tuple(resampling.scopes),
        contents=resampling.set.size,
        arms={arm_name: estimate(table) for arm_name, table in cells.items()},
        floor=floors,
        differences=differences,
        labels={arm.name: arm.label for arm in arms},
        baselines=tuple(baselines),
        pairs=tuple(further),
        metrics=resampling.metrics,
    )


HOLDS, NOT_TESTED = "holds", "not tested"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A registered comparison with its figures."""

    comparison: Comparison
    """The comparison."""
    title: str
    """What is subtracted from what."""
    languages: tuple[str, ...]
    """Zero-shot languages, each of which is looked at by itself, too."""
    differences: Differences | None
    """Differences by scope and metric; None where an arm has no run."""
    p_adjusted: float | None
    """P-value of the mean over the languages, adjusted for the comparisons' number."""

    @property
    def mean(self) -> Difference | None:
        """Difference of the mean BLEU over the zero-shot languages: what counts."""
        return self.find(ZERO_SHOT)

    def find(self, scope: str, metric: str = "bleu") -> Difference | None:
        """Return the difference of a language or mean."""
        if self.differences is None:
            return None
        return self.differences[scope][metric]

    def verdict(self, scope: str = ZERO_SHOT) -> str:
        """Return holds, refuted, undecided or not tested, of BLEU."""
        difference = self.find(scope)
        return NOT_TESTED if difference is None else difference.verdict

    def shortfalls(self) -> dict[str, str]:
        """Return the verdict by scope wherever it is not that the comparison holds."""
        verdicts = {s: self.verdict(s) for s in (ZERO_SHOT, *self.languages)}
        return {scope: text for scope, text in verdicts.items() if text != HOLDS}

    def to_dict(self) -> dict[str, Any]:
        """Return verdicts and BLEU, for JSON."""
        scopes = (ZERO_SHOT, *self.languages)
        found = {scope: self.find(scope) for scope in scopes}
        return {
            **dataclasses.asdict(self.comparison),
            "verdict": {scope: self.verdict(scope) for scope in scopes},
            "bleu": {s: None if d is None else d.to_dict() for s, d in found.items()},
            "p_adjusted": self.p_adjusted,
        }


def judge(
    comparisons: Sequence[Comparison], scores: SetScores, zero_shot: Sequence[str]
) -> list[Outcome]:
    """Say what became of the registered comparisons.

    Args:
        comparisons: The comparisons.
        scores: Figures of the test set that they are about.
        zero_shot: Languages without translations in training.
    """
    languages = tuple(lang for lang in zero_shot if lang in scores.languages)
    found = [scores.differences.get((one.arm, one.against)) for one in comparisons]
    means = [None if table is None else table[ZERO_SHOT]["bleu"] for table in found]
    # One that is not tested yet is one of the family as well.
    adjusted = adjust([1.0 if mean is None else mean.p_value for mean in means])
    return [
        Outcome(
            comparison=one,
            title=scores.compare(one.arm, one.against),
            languages=languages,
            differences=table,
            p_adjusted=None if mean is None else p_value,
        )
        for one, table, mean, p_value in zip(comparisons, found, means, adjusted)
    ]
