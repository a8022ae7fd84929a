#!/usr/bin/env python3
"""What a GPU decides, in 8 minutes: results equal to the CPU's, speed and memory.

    python tools/benchmark/gpu_check.py

Needs a checkout of this repository, torch for CUDA, and an installed wheel of this
package with what it requires; nothing is downloaded. Sections run one after the other,
each in a process of its own with its share of the time: an error, a crash or a section
that takes too long is reported, and the others run. Without a GPU, or with --dry_run,
all of them run on the CPU with tiny models, which shows that they would start.

The exit status is 1 if a check failed or a section did not come to its end. The last
line is one JSON object with every check and figure.
"""

import argparse
import multiprocessing
import time
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from report import print_report


class Row(NamedTuple):
    """Figure of a section, or check if it has a limit."""

    name: str
    value: float
    lowest: float | None = None
    highest: float | None = None

    @property
    def is_good(self) -> bool:
        """Whether the value is within its limits; NaN is not."""
        return (self.lowest is None or self.value >= self.lowest) and (
            self.highest is None or self.value <= self.highest
        )


class Outcome(NamedTuple):
    """What a section has reported."""

    rows: list[Row]
    error: str
    """Why it did not come to its end; empty: it did."""
    seconds: float


TOTAL = 480.0
SECONDS = {
    "frontends": 60,
    "decoder": 60,
    "ddp": 40,
    "training": 120,
    "student": 60,
    "translation": 120,
    "frames_cache": 80,
}
"""Most seconds of each section; those behind have what is left of TOTAL."""
CONTEXT = multiprocessing.get_context("forkserver")
# Imported once, for all sections.
CONTEXT.set_forkserver_preload(
    ["espnet_samu.bin.st_inference", "espnet_samu.tasks.samu"]
)


def work(name: str, device: str, tiny: bool, pipe: Connection) -> None:
    """Run a section in this process, and send its rows."""
    import gpu_correctness
    import gpu_speed

    def note(name: str, value: float, *limits: float | None) -> None:
        pipe.send(Row(name, float(value), *limits))

    try:
        module = gpu_correctness if hasattr(gpu_correctness, name) else gpu_speed
        getattr(module, name)(note, device, tiny)
        pipe.send("")
    except BaseException as error:
        traceback.print_exc()
        pipe.send(f"{type(error).__name__}: {error}")


def run_apart(name: str, device: str, tiny: bool, seconds: float) -> Outcome:
    """Run a section in a process of its own, for so many seconds at most."""
    ours, theirs = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=work, args=(name, device, tiny, theirs))
    start = time.monotonic()
    process.start()
    theirs.close()
    rows: list[Row] = []
    error = None
    while error is None:
        left = seconds - (time.monotonic() - start)
        if left <= 0 or not ours.poll(left):
            error = f"stopped after {seconds:g} s"
            break
        try:
            message = ours.recv()
        except EOFError:
            process.join()
            error = f"ended with exit status {process.exitcode}"
            break
        if isinstance(message, str):
            error = message
        else:
            rows.append(message)
    process.kill()
    process.join()
    return Outcome(rows, error, time.monotonic() - start)


def limit(row: Row) -> str:
    """Return a row's limit for the table."""
    if row.lowest is not None:
        return f">= {row.lowest:g}"
    return "" if row.highest is None else f"<= {row.highest:g}"


def verdict(row: Row) -> str:
    """Return whether a check has passed, for the table."""
    if row.lowest is None and row.highest is None:
        return ""
    return "yes" if row.is_good else "NO"


def table(outcomes: dict[str, Outcome]) -> list[list[str]]:
    """Return the lines of all sections."""
    lines = []
    for name, outcome in outcomes.items():
        for row in outcome.rows:
            lines.append([name, row.name, f"{row.value:.4g}", limit(row), verdict(row)])
        end = outcome.error.splitlines()[0][:100] if outcome.error else ""
        lines.append(
            [name, end or "seconds", f"{outcome.seconds:.1f}", "", "NO" if end else ""]
        )
    return lines


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--dry_run", action="store_true", help="Tiny models on the CPU, GPU or not"
    )
    parser.add_argument("--sections", nargs="+", choices=SECONDS, default=list(SECONDS))
    return parser


def gpu() -> dict[str, Any]:
    """Return name and memory of the GPU, and versions; empty without one."""
    import torch
    import transformers

    if not torch.cuda.is_available():
        return {}
    properties = torch.cuda.get_device_properties(0)
    return {
        "gpu": properties.name,
        "gpu_gib": properties.total_memory / 2**30,
        "cuda": torch.version.cuda,
        "transformers": transformers.__version__,
    }


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the sections and print what they report."""
    args = get_parser().parse_args(cmd)
    end = time.monotonic() + TOTAL
    found = gpu()
    tiny = args.dry_run or not found
    if tiny:
        print(
            f"{'--dry_run' if found else 'No GPU'}: every section with tiny models on "
            "the CPU; its figures mean nothing",
            flush=True,
        )
    outcomes: dict[str, Outcome] = {}
    for name in args.sections:
        left = min(SECONDS[name], round(end - time.monotonic()))
        print(f"{name}: at most {left:.0f} s", flush=True)
        outcomes[name] = run_apart(name, "cpu" if tiny else "cuda", tiny, left)
    failed = []
    for name, outcome in outcomes.items():
        failed += [f"{name}: {row.name}" for row in outcome.rows if not row.is_good]
        failed += [name] if outcome.error else []
    print_report(
        f"{found.get('gpu', 'CPU')}: what is equal to the CPU's, and how fast it is",
        ["section", "what", "figure", "limit", "good"],
        table(outcomes),
        {
            **found,
            "tiny": tiny,
            "failed": failed,
            "sections": {
                name: {
                    "seconds": outcome.seconds,
                    "error": outcome.error,
                    "figures": {row.name: row.value for row in outcome.rows},
                }
                for name, outcome in outcomes.items()
            },
        },
        text_columns=2,
    )
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
