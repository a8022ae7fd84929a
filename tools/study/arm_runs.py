"""The runs of an arm: those that finished, failed, and are missing."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from statistics import fmean
from typing import Any

from study.arms import Arm
from study.run_file import StudyRun


@dataclasses.dataclass(frozen=True)
class ArmRuns:
    """An arm with its runs."""

    name: str
    """Name of the arm."""
    letter: str
    """Letter in the study's plan."""
    title: str
    """Its name for readers."""
    what: str
    """One line for readers."""
    primary: bool
    """Whether a comparison that counts has it."""
    planned: tuple[int, ...]
    """Seeds that the plan has for it; none for an arm that is not in the plan."""
    runs: Mapping[int, StudyRun]
    """Runs by seed."""
    replication: tuple[int, ...] = ()
    """Seeds of a replication, which do not count with the planned ones."""

    @property
    def label(self) -> str:
        """What tables and charts call it: its title, and its letter."""
        return f"{self.title} ({self.letter})"

    @property
    def finished(self) -> dict[int, StudyRun]:
        """Runs that ended well and count, by seed."""
        return {
            seed: run
            for seed, run in self.runs.items()
            if run.status == "ok" and (seed in self.planned or not self.planned)
        }

    @property
    def extra(self) -> list[int]:
        """Seeds that are not in the plan: shown, but not counted.

        Else seeds could be added until the result is the wanted one.
        """
        known = (*self.planned, *self.replication)
        return [seed for seed in self.runs if self.planned and seed not in known]

    @property
    def failed(self) -> dict[int, str]:
        """Errors of the runs that failed, by seed."""
        return {seed: run.error or "" for seed, run in self.runs.items() if run.error}

    @property
    def missing(self) -> list[int]:
        """Seeds of the plan and of a replication without a run."""
        known = (*self.planned, *self.replication)
        return [seed for seed in known if seed not in self.runs]

    @property
    def hashes(self) -> list[str]:
        """Hashes of the settings of the runs; one, unless settings were changed."""
        return sorted({run.hash for run in self.runs.values()})

    def with_seeds(self, seeds: Collection[int]) -> "ArmRuns":
        """Return the arm as if only some seeds had been planned and run."""
        return dataclasses.replace(
            self,
            planned=tuple(seeds),
            runs={seed: run for seed, run in self.runs.items() if seed in seeds},
            replication=(),
        )

    def updates(self) -> dict[str, list[int]]:
        """Return the numbers of updates that there are, by step."""
        steps = {step for run in self.finished.values() for step in run.updates}
        return {
            step: sorted({run.updates.get(step, 0) for run in self.finished.values()})
            for step in sorted(steps)
        }

    def seconds(self) -> dict[str, float]:
        """Return the mean wall time of a run in seconds, by step."""
        steps = {step for run in self.finished.values() for step in run.seconds}
        return {
            step: fmean(run.seconds.get(step, 0.0) for run in self.finished.values())
            for step in sorted(steps)
        }

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the runs' content, for JSON."""
        return {
            "letter": self.letter,
            "title": self.title,
            "what": self.what,
            "primary": self.primary,
            "planned_seeds": [*self.planned],
            "finished_seeds": [*self.finished],
            "failed_seeds": {str(seed): error for seed, error in self.failed.items()},
            "missing_seeds": self.missing,
            "replication_seeds": [s for s in self.replication if s in self.runs],
            "seeds_beyond_the_plan": self.extra,
            "settings": self.hashes,
            "updates": self.updates(),
            "mean_seconds": self.seconds(),
        }


def collect_arms(arms: Mapping[str, Arm], runs: Sequence[StudyRun]) -> list[ArmRuns]:
    """Sort runs into arms.

    Args:
        arms: Arms of the plan by name, in the order they are shown.
        runs: All runs.

    Returns:
        All arms of the plan, whether they have runs or not; an arm with other settings
        (`<arm>+<hash>`) after the one that it is a change of; other arms last.
    """
    by_arm: dict[str, dict[int, StudyRun]] = {name: {} for name in arms}
    for run in sorted(runs, key=lambda run: (run.arm, run.seed)):
        by_arm.setdefault(run.arm, {})[run.seed] = run
    order = {name: i for i, name in enumerate(arms)}
    # Sorting is stable: a changed arm stays behind the one of the plan.
    names = sorted(by_arm, key=lambda n: order.get(n.partition("+")[0], len(order)))
    collected = []
    for name in names:
        arm, found = arms.get(name), by_arm[name]
        if arm is None:
            first = next(iter(found.values()))
            changes = [f"{k}={v}" for k, v in first.settings.items() if k != "hash"]
            what = f"not in the plan: {', '.join(changes) or 'unknown arm'}"
            base, _, changed = name.partition("+")
            title = f"{arms[base].title} +{changed}" if base in arms else name
            entry = ArmRuns(name, first.letter, title, what, False, (), found)
        else:
            entry = ArmRuns(
                name,
                arm.letter,
                arm.title,
                arm.what,
                arm.primary,
                arm.seeds,
                found,
                arm.replication,
            )
        collected.append(entry)
    return collected
