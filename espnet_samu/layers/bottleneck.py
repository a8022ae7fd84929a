"""Bottleneck adapters inside the layers of a pre-trained transformer."""

import torch
from typeguard import typechecked

from espnet_samu.layers.adapter_mark import mark_adapter
from espnet_samu.layers.parts import Part


class Bottleneck(torch.nn.Module):
    """x + up(relu(down(x))); at the start exactly x.

    Reference: Houlsby et al., "Parameter-Efficient Transfer Learning for NLP", arXiv
    1902.00751, figure 2; as there, without a layer norm of its own.

    Args:
        dim: Dimension D of what goes in and comes out.
        size: Dimension between the two.
    """

    @typechecked
    def __init__(self, dim: int, size: int):
        super().__init__()
        self.down = torch.nn.Linear(dim, size)
        self.up = torch.nn.Linear(size, dim)
        torch.nn.init.zeros_(self.up.weight)
        torch.nn.init.zeros_(self.up.bias)
        mark_adapter(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., D) to (..., D)."""
        return x + self.up(torch.relu(self.down(x)))


def add_bottlenecks(part: Part, size: int, after_attention: bool) -> None:
    """Put a bottleneck behind sublayers, before what they give is added to the rest.

    ``bottleneck`` is a child of the sublayer, so that no name of a pre-trained
    parameter changes, and is run by a hook, which finds it in the sublayer.

    Args:
        part: The model is changed.
        size: Dimension inside the bottleneck.
        after_attention: Also behind the self-attention (Houlsby), or behind the
            feed-forward only (Pfeiffer et al., "AdapterFusion", arXiv 2005.00247).
    """
    sublayers = [part.family.feed_forward]
    if after_attention:
        sublayers.insert(0, part.family.self_attention)
    dim = part.model.config.hidden_size
    for layer in part.layers().values():
        for name in sublayers:
            sublayer = layer.get_submodule(name)
            sublayer.bottleneck = Bottleneck(dim, size)
            sublayer.register_forward_hook(_run_bottleneck)


def _run_bottleneck(module, args, output):
    if isinstance(output, tuple):
        return (module.bottleneck(output[0]), *output[1:])
    return module.bottleneck(output)
