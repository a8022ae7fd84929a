"""Tasks side by side, each a chain of commands: a Makefile, which GNU make runs."""

import dataclasses
import logging
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Command:
    """A command line and what it is part of."""

    step: str
    """Name under which its time is counted."""
    words: tuple[str, ...]
    """The command and its arguments."""


@dataclasses.dataclass(frozen=True)
class Task:
    """Commands and what they need."""

    name: str
    """Unique name, e.g. students/all/seed1; its files begin with it."""
    commands: tuple[Command, ...]
    """What is run, in turn, until one fails."""
    needs: tuple[str, ...] = ()
    """Tasks that have to be finished before."""


def read_seconds(path: Path) -> dict[str, float]:
    """Return the wall time of every step in seconds, summed over attempts.

    Args:
        path: Lines of a step and a time; nothing is returned where there is no file.
    """
    table: dict[str, float] = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            step, seconds = line.split()
            table[step] = round(table.get(step, 0.0) + float(seconds), 1)
    return table


ERROR = re.compile(r"(Traceback|[\w.]*(Error|Exception|Interrupt))\b[^ ]*:? ")
"""How a line begins that names an error; a trace's last line comes after the others."""


_HEADER = """\
# Written by study.run_arms: what is missing. A step of a task leaves its output, its
# seconds and, if it fails, its exit status beside the task's folder.
SHELL := bash
log = $(@:.done=.log)
begin = TIMEFORMAT="$$step %R"; { time
end = >> $(log) 2>&1 < /dev/null; } 2>> $(@:.done=.seconds) \\
    || { echo "$$step: exit status $$?" > $(@:.done=.failed); exit 1; }
.PHONY: all
"""


class Schedule:
    """Run tasks in their order, as soon as a place is free and what they need is there.

    A task that fails does not stop the others, but those that need it fail, too. Beside
    a task's folder lie <name>.log, <name>.seconds and, in the end, <name>.done or
    <name>.failed.

    Args:
        tasks: Their order is that of their start; a task comes after those that it
            needs.
        folder: Where the Makefile and the tasks' files go.
        jobs: Number of tasks side by side.
        seconds: After that time no task is started any more.
        keep_open: Files that processes keep open while they run, as a lock is held.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        folder: Path,
        jobs: int,
        seconds: float = float("inf"),
        keep_open: Sequence[int] = (),
    ):
        if jobs < 1:
            raise ValueError(f"jobs must be at least 1: {jobs}")
        self.tasks = tasks
        self.folder = folder
        self.jobs = jobs
        self.end = time.time() + min(seconds, 1e9)
        self.keep_open = tuple(keep_open)
        self.errors: dict[str, str] = {}
        self.finished: set[str] = set()

    def makefile(self) -> str:
        """Return the rules of all tasks."""
        marks = {t.name: self.folder / f"{t.name}.done" for t in self.tasks}
        rules = [_HEADER, f"all: {' '.join(map(str, marks.values()))}"]
        for task in self.tasks:
            needs = [f" {marks[need]}" for need in task.needs]
            rules += [
                "",
                f"{marks[task.name]}:{''.join(needs)}",
                f"\t@test $$(date +%s) -le {int(self.end)}",
                f'\t@echo "$$(date "+%F %T") {task.name}: started, log: $(log)"',
            ]
            for command in task.commands:
                line = shlex.join(command.words).replace("$", "$$")
                rules.append(f"\t@step={command.step}; $(begin) {line} $(end)")
            rules.append("\t@touch $@")
        return "\n".join(rules) + "\n"

    def run(
        self, ended: Callable[[Task, str | None], None] = lambda task, error: None
    ) -> list[str]:
        """Run the tasks.

        Args:
            ended: Called with each task that ended, and with what went wrong or None;
                not with those that were stopped.

        Returns:
            Names of the tasks that were not started for lack of time.

        Raises:
            KeyboardInterrupt: The user stopped it; all processes were ended.
            RuntimeError: make itself failed.
        """
        for task in self.tasks:
            self._file(task.name, "log").parent.mkdir(parents=True, exist_ok=True)
            for end in ("done", "failed"):
                self._file(task.name, end).unlink(missing_ok=True)
        path = self.folder / "Makefile"
        path.write_text(self.makefile(), encoding="utf-8")
        left = [*self.tasks]
        # It may be make itself that has called us.
        ours = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
        env = {name: v for name, v in os.environ.items() if name not in ours}
        with open(self.folder / "make.log", "w", encoding="utf-8") as log:
            make = subprocess.Popen(
                ["make", "-k", "-r", "-j", str(self.jobs), "-f", str(path)],
                env={**env, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,  # to be ended with all that it has started
                pass_fds=self.keep_open,
            )
        try:
            while make.poll() is None:
                try:
                    make.wait(1.0)
                except subprocess.TimeoutExpired:
                    pass
                left = self._close(left, ended)
        finally:
            try:
                os.killpg(make.pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
        if left and time.time() < self.end:
            raise RuntimeError(f"make failed, see {self.folder}/make.log")
        return [task.name for task in left]

    def _file(self, name: str, end: str) -> Path:
        """Return a file of a task."""
        return self.folder / f"{name}.{end}"

    def _close(
        self, tasks: Sequence[Task], ended: Callable[[Task, str | None], None]
    ) -> list[Task]:
        """Say what became of tasks; return those that have not ended."""
        left = []
        for task in tasks:
            failed = [need for need in task.needs if need in self.errors]
            error, status = None, self._file(task.name, "failed")
            if status.exists() and status.stat().st_size:
                last = _last_error(self._file(task.name, "log"))
                error = f"{status.read_text('utf-8').strip()}: {last}"
            elif failed:
                error = f"{failed[0]}: {self.errors[failed[0]]}"
            elif not self._file(task.name, "done").exists():
                left.append(task)
                continue
            try:
                ended(task, error)
            except Exception as e:
                error = error or f"{type(e).__name__}: {e}"
                ended(task, error)
            if error is None:
                self.finished.add(task.name)
                logging.info(f"{task.name}: done")
            else:
                self.errors[task.name] = error
                logging.error(f"{task.name}: FAILED: {error}")
        return left


def _last_error(log: Path) -> str:
    """Return the last line of a log that names an error, else the last with a word.

    Folders of this machine and what ESPnet's launcher adds (`# Ended`) are left out.
    """
    with open(log, encoding="utf-8", errors="replace") as f:
        lines = [line.strip() for line in f]
    lines = [line for line in lines if line and not line.startswith("#")]
    errors = [line for line in lines if ERROR.match(line)]
    last = (errors or lines or ["no output"])[-1]
    return last.replace(f"{Path.cwd()}/", "")[:300]
