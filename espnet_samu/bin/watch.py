#!/usr/bin/env python3
"""Show the progress of running jobs, read from their logs.

On a terminal one line is rewritten every second; elsewhere a line is printed every 30
seconds. It ends with the process that started it. No heavy imports: it runs beside
every training.
"""

import argparse
import dataclasses
import glob
import math
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from espnet_samu.utils.command import run
from espnet_samu.utils.training_log import SCORES, parse_results

# ESPnet's trainer
_EPOCH = re.compile(r"INFO: (\d+)/(\d+)epoch started")
_BATCHES = re.compile(r"INFO: \d+epoch:train:\d+-(\d+)batch: (.*)")
_EPOCH_SIZE = re.compile(
    r"INFO: (?:Pass \d+ through the training data: (\d+) batches"
    r"|\[train\] Batch sampler: .*\bN-batch=(\d+))"
)
_LOSS = re.compile(r"\bloss=([^,\s]+)")
# Our commands: progress() of utils.command, teacher_train and teacher_embed
_COUNT = re.compile(r"\b(\d+) of (\d+) (\w+), [\d.]+ a second")
_TEACHER = re.compile(r"\b(\d+)/(\d+)( sentences|: loss \S+)")
# tqdm without a total, in format_wav_scp; batches of collect_stats
_TQDM = re.compile(r"(\d+)it \[")
_STATISTICS = re.compile(r"INFO: Niter: (\d+)")
_ENDED = re.compile(r"# Ended \(code")


class Log:
    """A job's log, and what was read of it until now.

    Args:
        path: The file, which another process writes.
    """

    def __init__(self, path: Path):
        self.path = path
        self.forget()

    def forget(self) -> None:
        """Start from the first line again."""
        self._offset = self._inode = 0
        self._rest = b""
        self.epoch = self.epochs = 0
        self.batch: int | None = None
        self.epoch_size: int | None = None
        self.loss = self.score = ""
        self.done: int | None = None
        self.total: int | None = None
        self.unit = ""
        self.ended = False
        self.accum_grad = 1

    def update(self) -> None:
        """Read the lines that are new."""
        with self.path.open("rb") as f:
            status = os.fstat(f.fileno())
            if status.st_ino != self._inode or status.st_size < self._offset:
                self.forget()
                self._inode = status.st_ino
            f.seek(self._offset)
            new = f.read()
        self._offset += len(new)
        # tqdm ends lines by carriage returns.
        *lines, self._rest = (self._rest + new).replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            self._read(line.decode("utf-8", "replace"))

    def _read(self, line: str) -> None:
        """Take what a line says."""
        if match := _EPOCH.search(line):
            self.epoch, self.epochs = int(match[1]), int(match[2])
            self.batch = None
            self._read_config()
        elif match := _BATCHES.search(line):
            self.batch = int(match[1])
            loss = _LOSS.search(match[2])
            self.loss = loss[1] if loss else self.loss
        elif results := parse_results(line):
            if "loss" in results.train:
                self.loss = f"{results.train['loss']:.3f}"
            if results.score:
                value = f"{SCORES[results.score]} {results.valid[results.score]:.3f}"
                self.score = f"{value} after epoch {results.epoch}"
        elif match := _EPOCH_SIZE.search(line):
            # Where an epoch is a part of a pass, config.yaml names its size.
            self.epoch_size = self.epoch_size or int(match[1] or match[2])
        elif match := _COUNT.search(line):
            self.done, self.total, self.unit = int(match[1]), int(match[2]), match[3]
        elif match := _TEACHER.search(line):
            self.done, self.total = int(match[1]), int(match[2])
            self.unit = "sentences" if "sentences" in match[3] else "updates"
            if self.unit == "updates":
                self.loss = match[3].split()[-1]
        elif match := _TQDM.search(line):
            self.done, self.unit = int(match[1]), "recordings"
            self.total = self.total or _count_lines(self._list_of_recordings())
        elif match := _STATISTICS.search(line):
            self.done, self.unit = int(match[1]), "batches"
        elif _ENDED.match(line):
            self.ended = True
            self.done = self.total or self.done

    def _read_config(self) -> None:
        """Read two options of the training out of ``config.yaml``."""
        try:
            text = self.path.with_name("config.yaml").read_text("utf-8")
        except OSError:
            return
        size = re.search(r"^num_iters_per_epoch: (\d+)$", text, re.MULTILINE)
        accum_grad = re.search(r"^accum_grad: (\d+)$", text, re.MULTILINE)
        self.epoch_size = int(size[1]) if size else self.epoch_size
        self.accum_grad = int(accum_grad[1]) if accum_grad else 1

    def _list_of_recordings(self) -> Path:
        """Return the list that a job of format_wav_scp.sh reads."""
        return self.path.with_name(f"wav.{self.path.suffixes[0][1:]}.scp")


def _count_lines(path: Path) -> int | None:
    try:
        return path.read_bytes().count(b"\n")
    except OSError:
        return None


@dataclasses.dataclass(frozen=True)
class Progress:
    """Progress of the jobs that are running."""

    text: str
    """In words."""
    part: float | None = None
    """Share of the work that is done, from 0 to 1."""
    work: str = ""
    """What it is a share of."""


def training_progress(log: Log) -> Progress:
    """Return the progress of a training with at least one epoch begun."""
    words = [f"epoch {log.epoch} of {log.epochs}"]
    within = 0.0
    if log.batch is not None:
        updates = f"update {log.batch // log.accum_grad}"
        if log.epoch_size:
            updates += f" of {log.epoch_size // log.accum_grad}"
            within = min(1.0, log.batch / log.epoch_size)
        words.append(updates)
    if log.loss:
        words.append(f"loss {log.loss}")
    if log.score:
        words.append(log.score)
    return Progress(", ".join(words), (log.epoch - 1 + within) / log.epochs)


def job_progress(logs: Sequence[Log]) -> Progress:
    """Return the progress of jobs that share a folder and count what they have done."""
    words = []
    counted = [log for log in logs if log.done is not None]
    part = None
    total = 0
    if counted:
        done = sum(log.done or 0 for log in counted)
        count = f"{done}"
        if all(log.total for log in counted):
            total = sum(log.total or 0 for log in counted)
            count += f" of {total}"
            # Jobs that have not begun are not in the total.
            part = done / total if len(counted) == len(logs) else None
        words.append(f"{count} {counted[0].unit}")
        if counted[0].loss:
            words.append(f"loss {counted[0].loss}")
    if len(logs) > 1:
        words.append(f"{sum(log.ended for log in logs)} of {len(logs)} jobs ended")
    folder = logs[0].path.parent
    name = folder.parent.name if folder.name in ("logs", "logdir") else ""
    text = ", ".join(words) or "started"
    work = f"{folder}:{total}:{counted[0].unit if counted else ''}"
    return Progress(f"{name}: {text}" if name else text, part, work)


class Watcher:
    """Follows the logs that some patterns name and that change from now on.

    Args:
        patterns: Files, with ``*``.
        since: What was written before, in seconds of Unix time, is an earlier run's,
            until it changes.
        clock: Returns seconds.
    """

    def __init__(
        self,
        patterns: Sequence[str],
        since: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.patterns = patterns
        self.clock = clock
        self.start = clock()
        self._logs: dict[str, Log] = {}
        stamps = {name: _stamp(name) for name in self._find()}
        self._seen = {n: s for n, s in stamps.items() if s and s[1] < since * 1e9}
        # Work, its share and the time when it was first seen
        self._first: tuple[str | None, float, float] = (None, 0.0, 0.0)

    def _find(self) -> list[str]:
        return sorted({name for p in self.patterns for name in glob.glob(p)})

    def _running(self) -> list[Log]:
        """Return the logs of the folder that was written to last."""
        stamps = {}
        for name in self._find():
            stamp = _stamp(name)
            if stamp is not None and stamp != self._seen.get(name):
                stamps[name] = stamp
                self._seen.pop(name, None)
        if not stamps:
            return []
        folder = os.path.dirname(max(stamps, key=lambda name: stamps[name][1]))
        logs = []
        for name in stamps:
            if os.path.dirname(name) == folder:
                log = self._logs.setdefault(name, Log(Path(name)))
                try:
                    log.update()
                except OSError:
                    continue  # renamed by the launcher
                logs.append(log)
        return logs

    def line(self) -> str:
        """Return one line on the jobs, with the time left where it can be estimated."""
        logs = self._running()
        passed = _minutes(self.clock() - self.start)
        if not logs:
            return f"[{passed}] no line yet in {' '.join(self.patterns)}"
        training = [log for log in logs if log.epochs]
        now = training_progress(training[0]) if training else job_progress(logs)
        # In front: a narrow terminal shows it, too.
        return f"[{passed}{self._left(now)}] {now.text}"

    def _left(self, now: Progress) -> str:
        """Return the time that is left at the speed until now, if it is known."""
        if now.part is None:
            return ""
        work, part, seen = self._first
        if now.work != work or now.part < part:
            self._first = (now.work, now.part, self.clock())
            return ""
        if now.part == part or now.part >= 1:
            return ""
        speed = (now.part - part) / (self.clock() - seen)
        return f", about {_minutes((1 - now.part) / speed)} left"


def _stamp(name: str) -> tuple[int, int] | None:
    """Return size and time in ns of a file, None where it is gone."""
    try:
        status = os.stat(name)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _minutes(seconds: float) -> str:
    """Return a duration as minutes and seconds, or hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n", maxsplit=1)[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "logs", type=str.split, help="Logs or patterns of them, in one string"
    )
    parser.add_argument(
        "--since",
        type=float,
        default=math.inf,
        help="Unix time: logs that are older are an earlier run's, until they change",
    )
    parser.add_argument(
        "--parent",
        type=int,
        default=os.getppid(),
        help="Process that starts this one, and with which it ends",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=30.0,
        help="Between two lines, where stderr is no terminal",
    )
    return parser


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    terminal = sys.stderr.isatty()

    def stop(*_: object) -> None:
        if terminal:
            os.write(2, b"\r\033[K")
        os._exit(0)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    watcher = Watcher(args.logs, args.since)
    printed = time.monotonic()
    while True:
        time.sleep(1)
        # The script was killed: the terminal is the user's again.
        if os.getppid() != args.parent:
            break
        if terminal:
            width = os.get_terminal_size(2).columns or 80
            # The cursor stays in front: what others print replaces the line.
            sys.stderr.write(f"\r\033[K{watcher.line()[: width - 1]}\r")
            sys.stderr.flush()
        elif time.monotonic() - printed >= args.seconds:
            printed = time.monotonic()
            now = time.strftime("%Y-%m-%dT%H:%M:%S")
            print(f"{now} (watch) {watcher.line()}", flush=True)


if __name__ == "__main__":
    run(main)
