"""Means over batches that are split unevenly over processes."""

import torch

from espnet_samu.utils.distributed import is_distributed


def process_share(count: int, weight: int, device: torch.device) -> torch.Tensor:
    """Factor that makes ESPnet's mean over processes one over other items.

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
    here = torch.tensor([count, weight], dtype=torch.float32, device=device)
    if not is_distributed():
        return torch.ones((), device=device)
    total = here.clone()
    torch.distributed.all_reduce(total)
    share = here / total
    return share[0] / share[1]
