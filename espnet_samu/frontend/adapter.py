"""The convolutions with which wav2vec2, WavLM and w2v-BERT shorten their frames.

``add_adapter: true`` appends them to the model. In transformers they see what the
encoder left in padded frames, so that an utterance's last frame depends on whether it
was padded; and LayerDrop, which skips some of them in training, leaves more frames
than the lengths say.
"""

from typing import List

import torch

from espnet_samu.frontend.masked_conv import MaskedConv1d


def take_over(adapter: torch.nn.Module) -> None:
    """Mask an adapter's convolutions and keep all of its layers in training.

    Args:
        adapter: ``model.adapter`` of transformers; its state dict does not change.
    """
    adapter.layerdrop = 0.0
    for layer in adapter.layers:
        for name, child in list(layer.named_children()):
            if isinstance(child, torch.nn.Conv1d):
                setattr(layer, name, MaskedConv1d.take_over(child))


def output_lengths(adapter: torch.nn.Module, lengths: torch.Tensor) -> torch.Tensor:
    """Frames (B,) that an adapter makes of so many frames (B,)."""
    for layer in adapter.layers:
        # A layer's convolutions are of one shape.
        lengths = _convolutions(layer)[0].output_lengths(lengths)
    return lengths


def set_lengths(adapter: torch.nn.Module, lengths: torch.Tensor) -> None:
    """Tell an adapter's convolutions the number of frames, before each forward.

    Args:
        adapter: One that was taken over.
        lengths: Frames (B,) that go into it.
    """
    for layer in adapter.layers:
        convolutions = _convolutions(layer)
        for convolution in convolutions:
            convolution.lengths = lengths
        lengths = convolutions[0].output_lengths(lengths)


def _convolutions(layer: torch.nn.Module) -> List[MaskedConv1d]:
    return [m for m in layer.children() if isinstance(m, MaskedConv1d)]
