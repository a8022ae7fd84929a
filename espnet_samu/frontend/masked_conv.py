"""Convolution over time that sees zeros where the batch is padded."""

from typing import Optional

import torch


class MaskedConv1d(torch.nn.Conv1d):
    """Conv1d whose input is zero outside each utterance's own frames.

    Beside its end an utterance then has what it has alone: the convolution's own
    zeros. The state dict is Conv1d's.
    """

    lengths: Optional[torch.Tensor] = None
    """Frames of each utterance (B,) in the input, set before each forward."""

    @classmethod
    def take_over(cls, conv: torch.nn.Conv1d) -> "MaskedConv1d":
        """A masked convolution with the parameters of a given one."""
        masked = cls(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,
            conv.stride,
            conv.padding,
            conv.dilation,
            conv.groups,
            conv.bias is not None,
            device="meta",  # draws no random numbers
        )
        masked.weight, masked.bias = conv.weight, conv.bias
        return masked

    def output_lengths(self, lengths: torch.Tensor) -> torch.Tensor:
        """Frames (B,) that come out of so many frames (B,)."""
        reach = self.dilation[0] * (self.kernel_size[0] - 1) - 2 * self.padding[0]
        return torch.div(lengths - reach - 1, self.stride[0], rounding_mode="floor") + 1

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Convolve (B, C, T)."""
        steps = torch.arange(input.size(2), device=input.device)
        padded = steps >= self.lengths[:, None, None]
        return super().forward(input.masked_fill(padded, 0.0))
