"""How many parameters are trained."""

import json
from pathlib import Path
from typing import Dict, NamedTuple

import torch

from espnet_samu.utils.atomic import atomic_write


class Count(NamedTuple):
    """Number of parameters of one module."""

    total: int
    trainable: int


def budget(model: torch.nn.Module) -> Dict[str, Count]:
    """Count the parameters of each direct child, and of all.

    Args:
        model: Shared parameters are counted once, where they occur first.

    Returns:
        Counts by name of the child; ``all`` for the whole model.
    """
    counts: Dict[str, Count] = {}
    for name, parameter in model.named_parameters():
        size = parameter.numel()
        trainable = size if parameter.requires_grad else 0
        for key in (name.split(".")[0], "all"):
            old = counts.get(key, Count(0, 0))
            counts[key] = Count(old.total + size, old.trainable + trainable)
    # The sum last.
    counts["all"] = counts.pop("all", Count(0, 0))
    return counts


def table(counts: Dict[str, Count]) -> str:
    """The counts as a table of module, total, trainable and share."""
    rows = [f"{'module':<16} {'total':>13} {'trainable':>13} {'%':>6}"]
    for name, (total, trainable) in counts.items():
        share = 100 * trainable / total if total else 0.0
        rows.append(f"{name:<16} {total:>13,} {trainable:>13,} {share:>6.1f}")
    return "\n".join(rows)


def save(counts: Dict[str, Count], path: Path) -> None:
    """Write the counts as JSON."""
    content = {name: count._asdict() for name, count in counts.items()}
    with atomic_write(path) as file:
        json.dump(content, file, indent=2)
