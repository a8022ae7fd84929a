"""Distributed training: gathering over processes, means over unequal shares."""

from typing import Any

import torch


def is_distributed() -> bool:
    """Return whether this process is one of several."""
    return (
        torch.distributed.is_available()
        and torch.distributed.is_initialized()
        and torch.distributed.get_world_size() > 1
    )


def is_first() -> bool:
    """Return whether this process writes files (rank 0)."""
    return not is_distributed() or torch.distributed.get_rank() == 0


def world_size() -> int:
    """Return the number of processes."""
    return torch.distributed.get_world_size() if is_distributed() else 1


@torch.no_grad()
def gather_rows(rows: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Return the rows of all processes, in unequal numbers.

    Args:
        rows: (B, E), without a gradient.

    Returns:
        Rows of all processes in the order of their ranks (sum B, E); where this
        process's own begin.
    """
    if not is_distributed():
        return rows, 0
    world_size = torch.distributed.get_world_size()
    count = torch.tensor([rows.size(0)], device=rows.device)
    counts = [torch.empty_like(count) for _ in range(world_size)]
    torch.distributed.all_gather(counts, count)
    sizes = [int(c) for c in counts]
    padded = torch.nn.functional.pad(rows, (0, 0, 0, max(sizes) - rows.size(0)))
    parts = [torch.empty_like(padded) for _ in range(world_size)]
    torch.distributed.all_gather(parts, padded.contiguous())
    gathered = torch.cat([part[:size] for part, size in zip(parts, sizes)])
    return gathered, sum(sizes[: torch.distributed.get_rank()])


def gather_objects(item: Any) -> list[Any]:
    """Return one picklable object of each process, by rank."""
    if not is_distributed():
        return [item]
    items: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(items, item)
    return items


def process_share(count: int, weight: int, device: torch.device) -> torch.Tensor:
    """Return the factor for an item-weighted mean under ESPnet's mean over processes.

    ESPnet multiplies what a process gives with its share of the utterances. A mean
    over other ``count`` items of this process, times this factor, becomes the mean
    over those of all processes.

    Args:
        count: Items of this process.
        weight: Utterances of this process, as ESPnet counts them.
        device: Where processes meet.

    Returns:
        Scalar; 1 in one process, or where both are shared alike.
    """
    if not is_distributed():
        return torch.ones((), device=device)
    here = torch.tensor([count, weight], dtype=torch.float32, device=device)
    total = here.clone()
    torch.distributed.all_reduce(total)
    share = here / total
    return share[0] / share[1]
