"""How long tasks of a study will take."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean

from study.arm import Arm
from study.plan import Plan
from study.step import updates_of
from study.student import Student
from study.study_run import StudyRun
from study.task import Task

SECONDS_PER_UPDATE = {"student": 0.27, "frozen": 0.15, "trained": 0.28}
"""On one core of two that are both busy, measured."""
TEACHER = 70.0
"""Seconds of a small teacher."""
BESIDE = 120.0
"""Seconds that a task takes beside its updates: imports, decoding, scoring."""


def _training(name: str, plan: Plan) -> Arm | Student:
    """Return the arm or the student of a task students/NAME/... or arms/NAME/...."""
    kind, variant, _ = name.split("/")
    variant = variant.partition("+")[0]
    if kind == "arms":
        return plan.arms[variant]
    students = (arm.student for arm in plan.arms.values() if arm.student is not None)
    return next(student for student in students if student.name == variant)


def _seconds(
    name: str, runs: Sequence[StudyRun], plan: Plan, recipe: Path, share: float
) -> float:
    """Return the seconds of one task: the mean of its arm's runs, or an estimate."""
    if name.startswith("teachers/"):
        return TEACHER
    training = _training(name, plan)
    if isinstance(training, Student):
        conf = training.step.load(recipe, share)
        return SECONDS_PER_UPDATE["student"] * updates_of(conf) + BESIDE
    conf = training.translation.load(recipe, share)
    known = [
        run.seconds["translation"] * updates_of(conf) / run.updates["translation"]
        + run.seconds.get("decoding", 0.0)
        for run in runs
        if run.arm == training.name and "translation" in run.updates
    ]
    if known:
        return fmean(known)
    each = SECONDS_PER_UPDATE["frozen" if training.frozen else "trained"]
    if conf.get("samu_weight"):
        each += SECONDS_PER_UPDATE["student"]  # a batch of each in an update
    return each * updates_of(conf) + BESIDE


def estimate_hours(
    tasks: Iterable[Task],
    runs: Sequence[StudyRun],
    plan: Plan,
    recipe: Path,
    share: float = 1.0,
    jobs: int = 1,
) -> float:
    """Return the hours that tasks will take.

    Args:
        tasks: Tasks named teachers/..., students/NAME/seedN or arms/NAME/seedN.
        runs: Finished runs; arms of which there is one are not guessed.
        plan: The plan.
        recipe: Folder of the recipe.
        share: Share of the updates that are made.
        jobs: Tasks side by side.
    """
    seconds = [_seconds(task.name, runs, plan, recipe, share) for task in tasks]
    return sum(seconds) / 3600 / jobs
