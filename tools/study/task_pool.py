"""Tasks side by side, each a chain of processes, with their wall time."""

import dataclasses
import json
import logging
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from espnet_samu.utils.atomic import atomic_write


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
    """Unique name, e.g. students/all/seed1; its log has it, too."""
    commands: tuple[Command, ...]
    """What is run, in turn, until one fails."""
    needs: tuple[str, ...] = ()
    """Tasks that have to be finished before."""
    before: Callable[[], None] = lambda: None
    """Called before the commands."""
    after: Callable[[str | None], None] = lambda error: None
    """Called in the end, with what went wrong or None; not when it was stopped."""


def read_seconds(path: Path) -> dict[str, float]:
    """Return the time of every step; nothing where there is no file.

    Args:
        path: The file.
    """
    if not path.exists():
        return {}
    return json.loads(path.read_text(encoding="utf-8"))


def add_seconds(path: Path, step: str, seconds: float) -> None:
    """Add to the time of a step.

    Args:
        path: The file; it is made when missing.
        step: Name of the step.
        seconds: What it took.
    """
    table = read_seconds(path)
    table[step] = round(table.get(step, 0.0) + seconds, 1)
    with atomic_write(path) as f:
        json.dump(table, f, indent=2, sort_keys=True)
        f.write("\n")


ERROR = re.compile(r"(Traceback|[\w.]*(Error|Exception|Interrupt))\b[^ ]*:? ")
"""How a line begins that names an error; a trace's last line comes after the others."""


class TaskPool:
    """Run tasks in their order, as soon as a place is free and what they need is there.

    A task that fails does not stop the others, but those that need it fail, too.

    Args:
        jobs: Number of tasks side by side.
        folder: Where the tasks' logs and times go.
        cwd: Folder that commands run in.
        env: Their environment.
        seconds: After that time no task is started any more.
        keep_open: Files that processes keep open while they run, as a lock is held.
    """

    def __init__(
        self,
        jobs: int,
        folder: Path,
        cwd: Path,
        env: Mapping[str, str],
        seconds: float = float("inf"),
        keep_open: Sequence[int] = (),
    ):
        if jobs < 1:
            raise ValueError(f"jobs must be at least 1: {jobs}")
        self.jobs = jobs
        self.folder = folder
        self.cwd = cwd
        self.env = dict(env)
        self.end = time.monotonic() + seconds
        self.keep_open = tuple(keep_open)
        self.errors: dict[str, str] = {}
        self.finished: set[str] = set()
        self._processes: set[subprocess.Popen] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def run(self, tasks: Sequence[Task]) -> list[str]:
        """Run tasks.

        Args:
            tasks: Their order is that of their start; a task comes after those that
                it needs.

        Returns:
            Names of the tasks that were not started for lack of time.

        Raises:
            KeyboardInterrupt: The user stopped it; all processes were ended.
        """
        waiting = list(tasks)
        running: dict[Future, Task] = {}
        executor = ThreadPoolExecutor(self.jobs)
        try:
            while waiting or running:
                while waiting and len(running) < self.jobs:
                    task = self._next(waiting)
                    if task is None:
                        break
                    waiting.remove(task)
                    running[executor.submit(self._do, task)] = task
                if not running:
                    break
                done, _ = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
                for future in done:
                    task = running.pop(future)
                    self._close(task, future.result())
        finally:
            self._stop()
            executor.shutdown()
        return [task.name for task in waiting]

    def _next(self, waiting: Sequence[Task]) -> Task | None:
        """Return the first task that can be started."""
        if time.monotonic() > self.end:
            return None
        for task in waiting:
            if all(need in self.finished or need in self.errors for need in task.needs):
                return task
        return None

    def _close(self, task: Task, error: str | None) -> None:
        """Keep what became of a task."""
        if error is None:
            self.finished.add(task.name)
            logging.info(f"{task.name}: done")
        else:
            self.errors[task.name] = error
            logging.error(f"{task.name}: FAILED: {error}")

    def _do(self, task: Task) -> str | None:
        """Run a task; return what went wrong."""
        error = None
        for need in task.needs:
            if need in self.errors:
                error = f"{need}: {self.errors[need]}"
        log = self.folder / f"{task.name}.log"
        if error is None:
            logging.info(f"{task.name}: started, log: {log}")
            error = self._run_commands(task, log)
        if self._stopped:
            return "stopped"
        try:
            task.after(error)
        except Exception as e:
            error = error or f"{type(e).__name__}: {e}"
            task.after(error)
        return error

    def _run_commands(self, task: Task, log: Path) -> str | None:
        """Run the commands of a task; return what went wrong."""
        log.parent.mkdir(parents=True, exist_ok=True)
        try:
            task.before()
        except Exception as e:
            return f"{type(e).__name__}: {e}"
        for command in task.commands:
            start = time.monotonic()
            with open(log, "ab") as f:
                with self._lock:
                    if self._stopped:
                        return "stopped"
                    process = subprocess.Popen(
                        command.words,
                        cwd=self.cwd,
                        env=self.env,
                        stdin=subprocess.DEVNULL,
                        stdout=f,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,  # to be ended with its children
                        pass_fds=self.keep_open,
                    )
                    self._processes.add(process)
                status = process.wait()
                with self._lock:
                    self._processes.discard(process)
            took = time.monotonic() - start
            add_seconds(self.folder / f"{task.name}.seconds.json", command.step, took)
            if status != 0:
                return f"{command.step}: exit status {status}: {_last_error(log)}"
        return None

    def _stop(self) -> None:
        """End all processes, with their children."""
        with self._lock:
            self._stopped = True
            processes = list(self._processes)
        for process in processes:
            try:
                os.killpg(process.pid, signal.SIGTERM)
            except ProcessLookupError:
                pass


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
