"""Tests of study.task_pool."""

import os
import time
from pathlib import Path

import pytest

from study.task_pool import Command, Task, TaskPool, read_seconds


def shell(name: str, *lines: str, needs: tuple[str, ...] = (), **kwargs) -> Task:
    commands = tuple(Command("step", ("sh", "-c", line)) for line in lines)
    return Task(name, commands, needs, **kwargs)


def pool(folder: Path, jobs: int = 2, **kwargs) -> TaskPool:
    return TaskPool(jobs, folder / "log", folder, os.environ, **kwargs)


def test_task_runs_after_what_it_needs(tmp_path: Path):
    order = tmp_path / "order"
    tasks = [
        shell("student", f"sleep 0.3; echo student >> {order}"),
        shell("arm", f"echo arm >> {order}", needs=("student",)),
        shell("other", f"echo other >> {order}"),
    ]
    assert pool(tmp_path).run(tasks) == []
    assert order.read_text().split() == ["other", "student", "arm"]


def test_failure_is_told_to_the_task_and_those_that_need_it_alone(tmp_path: Path):
    told: dict[str, str | None] = {}
    tasks = [
        shell(
            name,
            *lines,
            needs=needs,
            after=lambda error, name=name: told.update({name: error}),
        )
        for name, lines, needs in (
            ("student", ["echo no disk; exit 3", "touch never"], ()),
            ("arm", ["touch never"], ("student",)),
            ("other", ["true"], ()),
        )
    ]
    one = pool(tmp_path, jobs=1)
    one.run(tasks)
    error = "step: exit status 3: no disk"
    assert told == {"student": error, "arm": f"student: {error}", "other": None}
    assert set(one.errors) == {"student", "arm"} and one.finished == {"other"}
    assert not (tmp_path / "never").exists()


def test_error_of_a_training_is_its_own_and_not_the_launcher_s(tmp_path: Path):
    lines = (
        "Traceback (most recent call last):",
        "FileNotFoundError: [Errno 2] no data/tokens.txt",
        "# Accounting: time=62 threads=1",
        "# Ended (code 1) at Sat Nov 28",
        "run.pl: job failed with status 1",
    )
    words = "; ".join(f"echo '{line}'" for line in lines)
    one = pool(tmp_path, jobs=1)
    one.run([shell("arm", f"{words}; exit 1")])
    said = "FileNotFoundError: [Errno 2] no data/tokens.txt"
    assert one.errors == {"arm": f"step: exit status 1: {said}"}


def test_fault_in_front_of_and_behind_the_commands_is_a_failure(tmp_path: Path):
    def before() -> None:
        raise ValueError("other settings")

    told: list[str | None] = []

    def after(error: str | None) -> None:
        told.append(error)
        if error is None:
            raise ValueError("a translation is missing")

    one = pool(tmp_path)
    one.run([shell("a", "touch never", before=before), shell("b", "true", after=after)])
    assert one.errors == {
        "a": "ValueError: other settings",
        "b": "ValueError: a translation is missing",
    }
    assert told == [None, "ValueError: a translation is missing"]
    assert not (tmp_path / "never").exists()


def test_times_of_a_step_are_added_over_attempts(tmp_path: Path):
    for _ in range(2):
        pool(tmp_path).run([shell("arms/b/seed1", "sleep 0.3")])
    times = read_seconds(tmp_path / "log" / "arms" / "b" / "seed1.seconds.json")
    assert 0.6 <= times["step"] < 3.0


def test_nothing_is_started_after_the_time(tmp_path: Path):
    tasks = [shell("a", "touch never")]
    assert pool(tmp_path, seconds=-1.0).run(tasks) == ["a"]
    assert not (tmp_path / "never").exists()


def test_stop_ends_processes_with_their_children(tmp_path: Path, monkeypatch):
    told: list[str | None] = []
    task = shell("a", "sleep 60 & echo $! > pid; wait", after=told.append)
    one = pool(tmp_path, jobs=1)

    def interrupt(*args, **kwargs):
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr("study.task_pool.wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        one.run([task, shell("b", "touch never")])
    child = int((tmp_path / "pid").read_text())
    for _ in range(200):
        state = Path(f"/proc/{child}/stat")
        if not state.exists() or state.read_text().split()[2] == "Z":
            break
        time.sleep(0.01)
    else:
        pytest.fail(f"process {child} is still there")
    assert told == []  # a stopped run is no failed run
    assert not (tmp_path / "never").exists()


def test_processes_keep_files_open_that_are_given(tmp_path: Path):
    with open(tmp_path / "lock", "w") as file:
        number = file.fileno()
        tasks = [shell("a", f"test -e /proc/self/fd/{number}")]
        for keep_open, errors in (([number], []), ([], ["a"])):
            one = pool(tmp_path, keep_open=keep_open)
            one.run(tasks)
            assert [*one.errors] == errors


def test_jobs_must_be_at_least_one(tmp_path: Path):
    with pytest.raises(ValueError, match="jobs must be at least 1: 0"):
        pool(tmp_path, jobs=0)
