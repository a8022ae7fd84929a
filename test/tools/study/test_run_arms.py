"""Tests of study.run_arms: the estimate of the time."""

from pathlib import Path

import pytest

from study.arms import updates_of
from study.plan import read_plan
from study.run_arms import BESIDE, SECONDS_PER_UPDATE, TEACHER, estimate_hours
from study.run_file import StudyRun
from study.schedule import Task


def test_hours_are_those_of_all_tasks_shared_by_the_jobs(recipe: Path):
    plan = read_plan(recipe / "arms.yaml")
    names = ("teachers/seed1", "students/all/seed1", "arms/c/seed1")
    tasks = [Task(name, ()) for name in names]
    per_update = SECONDS_PER_UPDATE["student"] + SECONDS_PER_UPDATE["trained"]
    seconds = TEACHER + 100 * per_update + 2 * BESIDE
    hours = estimate_hours(tasks, [], plan, recipe, jobs=2)
    assert hours == pytest.approx(seconds / 7200)


def test_hours_of_an_arm_are_those_that_its_runs_took(recipe: Path):
    plan = read_plan(recipe / "arms.yaml")
    seconds = {"translation": 3000.0, "decoding": 600.0}
    wanted = updates_of(plan.arms["c"].translation.load(recipe))
    # With twice the updates, translation took twice as long.
    for updates, hours in ((wanted, 1.0), (2 * wanted, (1500 + 600) / 3600)):
        settings, made = {"hash": "x"}, {"translation": updates}
        spent = {"updates": made, "seconds": seconds}
        run = StudyRun("c", "c", 1, settings, "failed", error="e", **spent)
        task = Task("arms/c+1234/seed2", ())
        assert estimate_hours([task], [run], plan, recipe) == hours
