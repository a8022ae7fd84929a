"""The file of a run: JSON with sorted keys and one utterance a line."""

import json
import os
from pathlib import Path
from typing import Any

from espnet_samu.utils.atomic import atomic_write
from study.study_run import StudyRun


def run_path(folder: str | os.PathLike[str], arm: str, seed: int) -> Path:
    """Return the file of an arm and a seed.

    Args:
        folder: Folder of all runs.
        arm: Name of the arm.
        seed: Its seed.
    """
    return Path(folder) / arm / f"seed{seed}.json"


def _lines(value: Any, depth: int) -> str:
    """Return JSON with one entry of the innermost lists and objects a line.

    Args:
        value: What json.dumps takes.
        depth: How many levels are spread over lines.
    """
    if depth == 0 or not value or not isinstance(value, (dict, list, tuple)):
        return json.dumps(value, ensure_ascii=False, sort_keys=True, allow_nan=False)
    if isinstance(value, dict):
        entries = [
            f"{json.dumps(key, ensure_ascii=False)}: {_lines(value[key], depth - 1)}"
            for key in sorted(value)
        ]
        return "{\n" + ",\n".join(entries) + "\n}"
    return "[\n" + ",\n".join(_lines(entry, depth - 1) for entry in value) + "\n]"


def write_run(path: str | os.PathLike[str], run: StudyRun) -> None:
    """Write a run, atomically.

    Args:
        path: The file; its folder is made when missing.
        run: The run.

    Raises:
        ValueError: For a figure that is not finite.
    """
    text = _lines(run.to_dict(), depth=3)
    with atomic_write(path) as f:
        f.write(text + "\n")


def read_run(path: str | os.PathLike[str]) -> StudyRun:
    """Read a run.

    Args:
        path: The file.

    Raises:
        ValueError: Naming the file, for what `write_run` did not write.
    """
    with open(path, encoding="utf-8") as f:
        try:
            return StudyRun.from_dict(json.load(f))
        except (ValueError, TypeError, AttributeError) as e:
            raise ValueError(f"{path}: not the file of a run: {e}") from None


def read_runs(folder: str | os.PathLike[str]) -> list[StudyRun]:
    """Read all runs below a folder, sorted by arm and seed.

    Args:
        folder: Its files are <arm>/seed<N>.json.

    Raises:
        ValueError: As `read_run`, and for a file whose name is not that of its run.
    """
    runs = []
    for path in Path(folder).glob("*/seed*.json"):
        run = read_run(path)
        if path != run_path(folder, run.arm, run.seed):
            raise ValueError(f"{path}: arm '{run.arm}', seed {run.seed} by its content")
        runs.append(run)
    return sorted(runs, key=lambda run: (run.arm, run.seed))
