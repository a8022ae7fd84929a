"""Tests of study.schedule."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from study.schedule import Command, Schedule, Task, read_seconds


def shell(name: str, *lines: str, needs: tuple[str, ...] = ()) -> Task:
    commands = tuple(Command("step", ("sh", "-c", line)) for line in lines)
    return Task(name, commands, needs)


@pytest.fixture()
def schedule(tmp_path: Path, monkeypatch) -> Callable[..., Schedule]:
    """Make a schedule of tasks in the folder log below the process's own."""
    monkeypatch.chdir(tmp_path)
    return lambda *tasks, jobs=2, **kwargs: Schedule(
        tasks, tmp_path / "log", jobs, **kwargs
    )


def test_task_runs_after_what_it_needs(schedule, tmp_path: Path):
    order = tmp_path / "order"
    tasks = [
        shell("student", f"sleep 0.3; echo student >> {order}"),
        shell("arm", f"echo arm >> {order}", needs=("student",)),
        shell("other", f"echo other >> {order}"),
    ]
    assert schedule(*tasks).run() == []
    assert order.read_text().split() == ["other", "student", "arm"]


def test_failure_reaches_the_task_and_those_that_need_it_alone(schedule, tmp_path):
    ends: dict[str, str | None] = {}
    one = schedule(
        shell("student", "echo no disk; exit 3", "touch never"),
        shell("arm", "touch never", needs=("student",)),
        shell("other", "true"),
        jobs=1,
    )
    assert one.run(lambda task, error: ends.update({task.name: error})) == []
    error = "step: exit status 3: no disk"
    assert ends == {"student": error, "arm": f"student: {error}", "other": None}
    assert set(one.errors) == {"student", "arm"} and one.finished == {"other"}
    assert not (tmp_path / "never").exists()
    assert (tmp_path / "log" / "student.log").read_text() == "no disk\n"


def test_error_of_a_training_is_its_own_and_not_the_launcher_s(schedule):
    lines = (
        "Traceback (most recent call last):",
        "FileNotFoundError: [Errno 2] no data/tokens.txt",
        "# Accounting: time=62 threads=1",
        "# Ended (code 1) at Sat Nov 28",
        "run.pl: job failed with status 1",
    )
    words = "; ".join(f"echo '{line}'" for line in lines)
    one = schedule(shell("arm", f"{words}; exit 1"))
    one.run()
    last = "FileNotFoundError: [Errno 2] no data/tokens.txt"
    assert one.errors == {"arm": f"step: exit status 1: {last}"}


def test_fault_behind_the_commands_is_a_failure(schedule):
    ends: list[str | None] = []

    def ended(task: Task, error: str | None) -> None:
        ends.append(error)
        if error is None:
            raise ValueError("a translation is missing")

    one = schedule(shell("a", "true"))
    one.run(ended)
    assert one.errors == {"a": "ValueError: a translation is missing"}
    assert ends == [None, "ValueError: a translation is missing"]


def test_words_of_a_command_reach_it_as_they_are(schedule, tmp_path: Path):
    words = ("a b", "$HOME", "it's", "#", "--x=1,2", "%", "\\")
    script = ("sh", "-c", 'printf "%s\\n" "$@" > words', "sh")
    schedule(Task("a", (Command("step", (*script, *words)),))).run()
    assert tuple((tmp_path / "words").read_text().splitlines()) == words


def test_times_of_a_step_are_added_over_attempts(schedule, tmp_path: Path):
    for _ in range(2):
        schedule(shell("arms/b/seed1", "sleep 0.3")).run()
    times = read_seconds(tmp_path / "log" / "arms" / "b" / "seed1.seconds")
    assert 0.6 <= times["step"] < 3.0
    assert read_seconds(tmp_path / "none.seconds") == {}


def test_nothing_is_started_after_the_time(schedule, tmp_path: Path):
    one = schedule(shell("a", "touch never"), seconds=-10.0)
    assert one.run() == ["a"] and not one.errors
    assert not (tmp_path / "never").exists()


def test_stop_ends_processes_with_their_children(schedule, tmp_path, monkeypatch):
    ends: list[str | None] = []
    one = schedule(
        shell("a", "sleep 60 & echo $! > pid; wait"), shell("b", "touch never"), jobs=1
    )

    def interrupt(*args, **kwargs):
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(one, "_close", interrupt)
    with pytest.raises(KeyboardInterrupt):
        one.run(lambda task, error: ends.append(error))
    child = int((tmp_path / "pid").read_text())
    for _ in range(200):
        state = Path(f"/proc/{child}/stat")
        if not state.exists() or state.read_text().split()[2] == "Z":
            break
        time.sleep(0.01)
    else:
        pytest.fail(f"process {child} is still there")
    assert ends == []  # a stopped run is no failed run
    assert not (tmp_path / "never").exists()


def test_processes_keep_files_open_that_are_given(schedule, tmp_path: Path):
    with open(tmp_path / "lock", "w") as file:
        number = file.fileno()
        task = shell("a", f"test -e /proc/self/fd/{number}")
        for keep_open, errors in (([number], []), ([], ["a"])):
            one = schedule(task, keep_open=keep_open)
            one.run()
            assert [*one.errors] == errors


def test_make_that_calls_us_has_no_say(schedule, monkeypatch):
    """`make -C tools study` is such a make."""
    monkeypatch.setenv("MAKEFLAGS", "n --no-print-directory -- ARGS=x")
    one = schedule(shell("a", "true"))
    assert one.run() == [] and one.finished == {"a"}


def test_failure_of_make_is_an_error(schedule, tmp_path: Path, monkeypatch):
    one = schedule(shell("a", "touch never"))
    monkeypatch.setattr(one, "makefile", lambda: "no rule\n")
    with pytest.raises(RuntimeError, match="make failed, see .*/log/make.log"):
        one.run()
    assert "missing separator" in (tmp_path / "log" / "make.log").read_text()


def test_jobs_must_be_at_least_one(schedule):
    with pytest.raises(ValueError, match="jobs must be at least 1: 0"):
        schedule(jobs=0)
