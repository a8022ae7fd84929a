"""Encoder layers in which padding does not change an utterance."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

import torch

# Of the running forward pass. Not attributes of the layers: threads share a model, and
# each has a context of its own.
_lengths: ContextVar[Mapping[torch.nn.Module, torch.Tensor]] = ContextVar(
    "lengths", default={}
)


@contextmanager
def batch_lengths(lengths: Mapping[torch.nn.Module, torch.Tensor]) -> Iterator[None]:
    """Set the lengths of a batch, in a with block.

    Args:
        lengths: Frames (B,) in the input of each masked layer.
    """
    token = _lengths.set({**_lengths.get(), **lengths})
    try:
        yield
    finally:
        _lengths.reset(token)


class MaskedConv1d(torch.nn.Conv1d):
    """Conv1d whose input is zero outside each utterance's own frames.

    Behind its last frame an utterance then has zeros, as it has alone, where the
    convolution pads with zeros itself. The state dict is Conv1d's. It is called inside
    :func:`batch_lengths`.
    """

    padding: tuple[int, ...]

    @classmethod
    def from_conv1d(cls, conv: torch.nn.Conv1d) -> "MaskedConv1d":
        """Return a masked convolution that shares the parameters of ``conv``."""
        masked = cls(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size[0],
            conv.stride[0],
            int(conv.padding[0]),
            conv.dilation[0],
            conv.groups,
            conv.bias is not None,
            device="meta",  # draws no random numbers
        )
        masked.weight, masked.bias = conv.weight, conv.bias
        return masked

    def output_lengths(self, lengths: torch.Tensor) -> torch.Tensor:
        """Return the numbers of output frames (B,) for numbers of input frames (B,)."""
        reach = self.dilation[0] * (self.kernel_size[0] - 1) - 2 * self.padding[0]
        return (lengths - reach - 1) // self.stride[0] + 1

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Convolve (B, C, T)."""
        steps = torch.arange(input.size(2), device=input.device)
        padded = steps >= _lengths.get()[self][:, None, None]
        return super().forward(input.masked_fill(padded, 0.0))


class MaskedGroupNorm(torch.nn.GroupNorm):
    """GroupNorm with one channel a group, over each utterance's own frames.

    wav2vec2-base, HuBERT-base and WavLM-base normalise their first convolution over
    time; ``torch.nn.GroupNorm`` includes the padding of a batch, so that an utterance
    would depend on the longest one in its batch. The state dict is GroupNorm's. It is
    called inside :func:`batch_lengths`.
    """

    @classmethod
    def from_group_norm(cls, norm: torch.nn.GroupNorm) -> "MaskedGroupNorm":
        """Return a masked norm that shares the parameters of ``norm``."""
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
        count = _lengths.get()[self][:, None, None]
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


class FixedBatchNorm1d(torch.nn.BatchNorm1d):
    """BatchNorm1d that uses its running statistics in training, too.

    Those of a batch include its padding and other utterances, and running statistics
    that were updated with them would change what a pre-trained model has learned. The
    state dict is BatchNorm1d's.
    """

    @classmethod
    def from_batch_norm(cls, norm: torch.nn.BatchNorm1d) -> "FixedBatchNorm1d":
        """Return a fixed norm that shares parameters and statistics of ``norm``."""
        fixed = cls(norm.num_features, norm.eps, device="meta")
        fixed._parameters.update(norm._parameters)
        fixed._buffers.update(norm._buffers)
        return fixed

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalise (B, C, T)."""
        return torch.nn.functional.batch_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            eps=self.eps,
        )


def mask_adapter(adapter: torch.nn.Module) -> None:
    """Mask the convolutions of an adapter in place and set its layerdrop to 0.

    Args:
        adapter: ``model.adapter`` of transformers; its state dict does not change.
    """
    setattr(adapter, "layerdrop", 0.0)
    for layer in adapter.get_submodule("layers").children():
        for name, child in list(layer.named_children()):
            if isinstance(child, torch.nn.Conv1d):
                setattr(layer, name, MaskedConv1d.from_conv1d(child))


def output_lengths(adapter: torch.nn.Module, lengths: torch.Tensor) -> torch.Tensor:
    """Return an adapter's numbers of output frames (B,) for input frames (B,)."""
    for layer in adapter.get_submodule("layers").children():
        # A layer's convolutions are of one shape. Padding alone is no frame.
        output = _convolutions(layer)[0].output_lengths(lengths)
        lengths = output.where(lengths > 0, 0)
    return lengths


def adapter_lengths(
    adapter: torch.nn.Module, lengths: torch.Tensor
) -> dict[torch.nn.Module, torch.Tensor]:
    """Return the numbers of frames (B,) in the input of an adapter's convolutions.

    Args:
        adapter: One that :func:`mask_adapter` has changed.
        lengths: Frames (B,) that go into it.
    """
    found: dict[torch.nn.Module, torch.Tensor] = {}
    for layer in adapter.get_submodule("layers").children():
        convolutions = _convolutions(layer)
        found.update(dict.fromkeys(convolutions, lengths))
        lengths = convolutions[0].output_lengths(lengths)
    return found


def _convolutions(layer: torch.nn.Module) -> list[MaskedConv1d]:
    return [m for m in layer.children() if isinstance(m, MaskedConv1d)]
