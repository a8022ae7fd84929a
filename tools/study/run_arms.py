"""Run the arms of the study: see ../study/README.md. Called by run_study.sh."""

import argparse
import fcntl
import logging
import os
import signal
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import TextIO

from espnet2.utils.types import str2bool

from espnet_samu.utils.command import run
from study.arm_store import StudyStore
from study.arm_tasks import StudyTasks
from study.arms import Arm, Student, read_encoder, updates_of
from study.plan import Plan, read_plan
from study.run_file import StudyRun, read_runs
from study.schedule import Schedule, Task
from study.stored_settings import StoredSettings, read_stored, write_stored

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
    if training.translation is None:
        return BESIDE
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


def get_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--plan", type=Path, default=Path("study/arms.yaml"))
    parser.add_argument("--arms", type=str.split, default=[], help="Default: all")
    parser.add_argument(
        "--seeds", type=str.split, default=[], help="Default: the plan's"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="Side by side")
    parser.add_argument(
        "--quick", type=str2bool, default=False, help="Few arms, seeds and updates"
    )
    parser.add_argument(
        "--encoder", type=Path, help="Distillation's YAML file with another encoder"
    )
    parser.add_argument("--ngpu", type=int, default=0, help="GPUs of every training")
    parser.add_argument("--root", type=Path, default=Path("exp/study"), help="Work")
    parser.add_argument("--runs", type=Path, default=Path("study/runs"), help="Runs")
    parser.add_argument(
        "--hours", type=float, default=float("inf"), help="Start nothing after these"
    )
    parser.add_argument(
        "--retry_failed", type=str2bool, default=False, help="Run failed runs again"
    )
    parser.add_argument(
        "--dry_run", type=str2bool, default=False, help="Only say what would be run"
    )
    parser.add_argument(
        "--store",
        type=str2bool,
        default=False,
        help="Store the settings as those that runs are compared with, and end",
    )
    return parser


def stop(*_: object) -> None:
    """End as Ctrl-C does; once, since the end itself takes its time."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def lock(root: Path) -> TextIO:
    """Keep other calls out of a folder, as long as the file or a copy of it is open.

    Raises:
        ValueError: Another call is at work there, or what it has started.
    """
    root.mkdir(parents=True, exist_ok=True)
    file = open(root / ".lock", "a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        raise ValueError(
            f"process {file.read()}, or a training that it has left behind, is at work "
            f"in {root}: wait for it or stop it; --jobs runs more side by side"
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def main(cmd: Sequence[str] | None = None) -> int:
    """Run the command line, in the folder of the recipe; return the exit status."""
    args = get_parser().parse_args(cmd)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout
    )
    recipe = Path(".")
    encoder = None if args.encoder is None else read_encoder(args.encoder)
    plan = read_plan(args.plan, encoder)
    share = plan.quick["share"] if args.quick else 1.0
    settings = StoredSettings.of(plan, recipe, share)
    if args.store:
        if args.quick or encoder is not None:
            raise ValueError("--store is for the study itself: not --quick, --encoder")
        write_stored("study/settings.json", settings)
        return 0
    root, runs = args.root, args.runs
    stored = read_stored("study/settings.json")
    if args.quick or encoder is not None:
        # Stands for itself, compared with the settings of its first call.
        if not (root / "settings.json").exists() and not args.dry_run:
            write_stored(root / "settings.json", settings)
        stored = read_stored(root / "settings.json")
        if not stored.arms:
            stored = settings
    if args.quick:
        args.arms = args.arms or plan.quick["arms"]
        args.seeds = args.seeds or plan.quick["seeds"]
    pairs = plan.choose(args.arms, [int(seed) for seed in args.seeds])

    known = read_runs(runs)
    store = StudyStore(settings, stored, plan.sets, root, runs, share, args.ngpu)
    tasks = StudyTasks(plan, store)
    missing = [p for p in pairs if not store.is_finished(*p, args.retry_failed)]
    for arm, seed in missing:
        tasks.add(arm, seed)
    hours = "no estimate of the time"
    if encoder is None:
        number = estimate_hours(
            tasks.tasks.values(), known, plan, recipe, share, args.jobs
        )
        hours = f"about {number:.1f} hours"
    logging.info(
        f"{len(pairs)} runs, {len(pairs) - len(missing)} are there; {hours} for the "
        f"others with {args.jobs} side by side"
    )
    if args.dry_run:
        print("\n".join(tasks.tasks))
        return 0

    def store_run(task: Task, error: str | None) -> None:
        if task.name in tasks.runs:
            store.store(*tasks.runs[task.name], error)

    # run_study.sh starts it in the background, where Ctrl-C is ignored by default.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    with lock(root) as file:
        tasks.write_settings()
        schedule = Schedule(
            [*tasks.tasks.values()],
            root,
            args.jobs,
            3600 * args.hours,
            keep_open=[file.fileno()],
        )
        try:
            left = schedule.run(store_run)
        except KeyboardInterrupt:
            logging.error("stopped; the same command goes on")
            return 130
    if left:
        logging.info(f"{len(left)} tasks are left for another call: {' '.join(left)}")
    for name, error in schedule.errors.items():
        logging.error(f"{name} failed: {error}")
    return 1 if schedule.errors else 0


if __name__ == "__main__":
    run(main)
