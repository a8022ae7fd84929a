"""Masks over padded sequences."""

import torch


def valid_mask(lengths: torch.Tensor, size: int) -> torch.Tensor:
    """Mark what is not padding, as transformers' ``attention_mask`` does.

    Args:
        lengths: Samples, frames or tokens (B,).
        size: Length N of the padded axis.

    Returns:
        1 for valid positions, 0 for padding: (B, N), int64.
    """
    return (torch.arange(size, device=lengths.device) < lengths[:, None]).long()
