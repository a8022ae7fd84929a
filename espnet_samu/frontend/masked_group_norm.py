"""Normalisation over time that leaves padding out."""

from typing import Optional

import torch


class MaskedGroupNorm(torch.nn.GroupNorm):
    """One group a channel, normalised over each utterance's own frames.

    wav2vec2-base, HuBERT-base and WavLM-base normalise their first convolution over
    time; ``torch.nn.GroupNorm`` counts the padding of a batch, so that an utterance
    would depend on the longest one beside it. The state dict is GroupNorm's.
    """

    lengths: Optional[torch.Tensor] = None
    """Frames of each utterance (B,), set before each forward."""

    @classmethod
    def take_over(cls, norm: torch.nn.GroupNorm) -> "MaskedGroupNorm":
        """A masked norm with the parameters of a given one."""
        if norm.num_groups != norm.num_channels:
            raise ValueError(
                f"{norm.num_groups} groups of {norm.num_channels} channels: only one "
                "channel a group is implemented"
            )
        masked = cls(norm.num_groups, norm.num_channels, eps=norm.eps)
        masked.weight, masked.bias = norm.weight, norm.bias
        return masked

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalise (B, C, T)."""
        count = self.lengths[:, None, None]
        steps = torch.arange(input.size(2), device=input.device)
        mask = steps < count
        with torch.autocast(input.device.type, enabled=False):
            values = input.float()
            mean = (values * mask).sum(2, keepdim=True) / count
            centred = (values - mean) * mask
            variance = centred.square().sum(2, keepdim=True) / count
            values = centred / (variance + self.eps).sqrt()
            values = values * self.weight[:, None] + self.bias[:, None]
        return values.to(input.dtype)
