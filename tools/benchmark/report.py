"""What every benchmark here shares: pairwise timing and one form of report."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from espnet_samu.scoring.table import format_table


def time_pairwise(
    functions: Mapping[str, Callable[[], Any]],
    repeats: int = 3,
    warmup: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Time functions side by side: a, b, a, b ..., so that drift meets both.

    Args:
        functions: What to time, by name.
        repeats: Timed calls of each.
        warmup: Calls of each before, not timed.
        clock: Gives seconds: of the wall, or ``time.process_time``.

    Returns:
        Median of the seconds of each.
    """
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(warmup + repeats):
        for name, function in functions.items():
            start = clock()
            function()
            if turn >= warmup:
                seconds[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def clock_of(device: Any) -> Callable[[], float]:
    """Return a clock of seconds that waits for what a device has been given to do.

    Args:
        device: ``cpu``, ``cuda``, or torch's object of it.
    """
    import torch

    if torch.device(device).type == "cpu":
        return time.perf_counter

    def clock() -> float:
        torch.cuda.synchronize(device)
        return time.perf_counter()

    return clock


def peak_memory() -> float:
    """Most memory that this process has held so far, in GiB.

    Not from getrusage, where a process starts with its parent's peak.
    """
    with open("/proc/self/status", encoding="ascii") as f:
        for line in f:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**20
    raise OSError("/proc/self/status has no VmHWM: needs Linux")


def machine() -> dict[str, Any]:
    """What the figures depend on, besides the code."""
    import torch

    return {
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def print_report(
    title: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    figures: Mapping[str, Any],
    text_columns: int = 1,
) -> None:
    """Print a table and, as the last line, one JSON object with every figure.

    Args:
        title: What was measured, with sizes.
        header: Column titles.
        rows: Cells.
        figures: Every figure and ratio, unrounded, under telling names.
        text_columns: Columns from the left that hold text.
    """
    print(f"\n{title}\n")
    print(format_table(header, rows, text_columns))
    print(json.dumps({"benchmark": title, **figures, "machine": machine()}))
