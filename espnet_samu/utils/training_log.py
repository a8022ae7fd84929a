"""Results of epochs, read from the logs of ESPnet's trainings."""

import dataclasses
import math
import re
from collections.abc import Mapping
from pathlib import Path

_RESULTS = re.compile(r"INFO: (\d+)epoch results: \[train\] (.*?)\[valid\] (.*)")
_VALUE = re.compile(r"(\w+)=([^\s,]+)")
SCORES = {"r1": "R@1", "acc": "accuracy"}
"""What a training is followed by, as it is reported and as it is shown."""


@dataclasses.dataclass(frozen=True)
class EpochResults:
    """Means over an epoch."""

    epoch: int
    """Its number, from 1."""
    train: Mapping[str, float]
    """Of training, by name: ``loss``."""
    valid: Mapping[str, float]
    """Of validation, by name: ``loss``, ``r1``, ``acc``; those that are not nan."""

    @property
    def score(self) -> str | None:
        """Name of the score of the validation, if there is one."""
        return next((name for name in SCORES if name in self.valid), None)


def parse_results(line: str) -> EpochResults | None:
    """Return the results that a line of a log has, or None."""
    match = _RESULTS.search(line)
    if match is None:
        return None
    return EpochResults(int(match[1]), _values(match[2]), _values(match[3]))


def _values(text: str) -> dict[str, float]:
    """Return the numbers of a text by their names."""
    numbers = {name: float(value) for name, value in _VALUE.findall(text)}
    return {name: value for name, value in numbers.items() if not math.isnan(value)}


def read_results(log: Path) -> list[EpochResults]:
    """Return the results of all epochs of a training.

    Args:
        log: ``train.log``; beside it is ``train.1.log`` of the run before, and so on,
            as ESPnet's launcher renames them. A run that goes on from an earlier epoch
            replaces those behind it.
    """
    logs = [log]
    while (earlier := log.with_suffix(f".{len(logs)}{log.suffix}")).exists():
        logs.append(earlier)
    results: dict[int, EpochResults] = {}
    for path in reversed(logs):
        begun = False
        with path.open(encoding="utf-8", errors="replace") as f:
            for line in f:
                found = parse_results(line)
                if found is None:
                    continue
                if not begun:
                    begun = True
                    results = {n: r for n, r in results.items() if n < found.epoch}
                results[found.epoch] = found
    return [*results.values()]
