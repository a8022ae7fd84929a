"""Cross-attention of transformers' decoders in ESPnet's plots (``num_att_plot``)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from espnet2.legacy.nets.pytorch_backend.transformer.attention import (
    MultiHeadedAttention,
)

from espnet_samu.decoder.mbart import MBartDecoder

NAME = "cross_attention"
"""Pictures are ``att_ws/<utterance>/cross_attention.<layer>.<epoch>ep.png``."""


class _Weights(MultiHeadedAttention):
    """Attention weights of a layer, where ESPnet looks for them."""

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)
        self.attn: torch.Tensor | None = None

    def forward(self, weights: torch.Tensor) -> None:
        """Keep weights (B, heads, L, T)."""
        self.attn = weights


@contextmanager
def plotted_cross_attention(model: torch.nn.Module) -> Iterator[None]:
    """Let ``calculate_all_attentions`` find the cross-attention of ``decoder: mbart``.

    It knows ESPnet's own attention classes alone. Inside, the model has a module of
    such a class for each decoder layer, which gets the layer's weights, averaged over
    the heads. Fused attention has no weights: the decoder uses ``eager`` inside.

    Args:
        model: A model of which the decoder may be another one; then nothing changes.
    """
    decoder = getattr(model, "decoder", None)
    if not isinstance(decoder, MBartDecoder):
        yield
        return
    layers = [
        module
        for name, module in decoder.model.named_modules()
        if name.endswith(".encoder_attn")
    ]
    found = torch.nn.ModuleList(_Weights() for _ in layers)
    implementation = decoder.model.config._attn_implementation
    hooks = []
    model.add_module(NAME, found)
    try:
        decoder.model.set_attn_implementation("eager")
        for layer, weights in zip(layers, found, strict=True):
            hooks.append(layer.register_forward_hook(_pass_to(weights)))
        yield
    finally:
        for hook in hooks:
            hook.remove()
        decoder.model.set_attn_implementation(implementation)
        delattr(model, NAME)


def _pass_to(weights: torch.nn.Module) -> Any:
    """Return a forward hook that passes a layer's mean weights to a module."""

    def hook(layer: torch.nn.Module, args: Any, output: Any) -> None:
        weights(output[1].mean(1, keepdim=True))

    return hook
