"""Wall time by step, kept in a file, over all attempts."""

import json
from pathlib import Path

from espnet_samu.utils.atomic import atomic_write


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
