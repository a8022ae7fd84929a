"""What a training log of ESPnet says of each epoch."""

import math
import os
import re
from collections.abc import Sequence

_EPOCH = re.compile(r"INFO: (\d+)epoch results: (.*)")
_PART = re.compile(r"\[(train|valid)\] ([^\[]*)")
_FIGURE = re.compile(r"(\w+)=([-+.\dea]+|nan)(?:,|\s|$)")
_COUNT = re.compile(r"total_count=(\d+)")


def read_epochs(
    path: str | os.PathLike[str], names: Sequence[str]
) -> list[dict[str, float]]:
    """Read figures of every epoch of a training.

    An epoch that was done twice, by a training that was resumed, counts once.

    Args:
        path: train.log.
        names: Which figures, as the log names them.

    Returns:
        For each epoch `epoch`, `updates` so far, and the validation figures that were
        asked for and are there; those of training are named `train_<name>`.
    """
    epochs: dict[int, dict[str, float]] = {}
    with open(path, encoding="utf-8", errors="replace") as f:
        for line in f:
            if (match := _EPOCH.search(line)) is None:
                continue
            table: dict[str, float] = {"epoch": int(match[1])}
            for part, text in _PART.findall(match[2]):
                prefix = "train_" if part == "train" else ""
                for name, figure in _FIGURE.findall(text):
                    if name in names and math.isfinite(float(figure)):
                        table[prefix + name] = float(figure)
                if prefix and (count := _COUNT.search(text)):
                    table["updates"] = int(count[1])
            epochs[int(match[1])] = table
    return [epochs[number] for number in sorted(epochs)]
