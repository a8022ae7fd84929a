"""Presets of what is trained in a pre-trained transformer.

===================  ==========================================================
``all``              everything
``none``             nothing
``adapters``         nothing; there must be adapters
``lna_e``            encoder: layer norms and self-attention
``lna_d``            decoder: layer norms, self- and cross-attention
``lna_ed``           both; for the whole model only
``cross_attention``  decoder: cross-attention and its layer norm; for the whole
                     model, nothing of the encoder
===================  ==========================================================

For the whole model ``lna_e`` and ``lna_d`` leave the other part as it is, and
``adapters`` a part without adapters.

References: Li et al., "Multilingual Speech Translation from Efficient Finetuning of
Pretrained Models", arXiv 2010.12829 (LNA); Gheini et al., "Cross-Attention is All You
Need", arXiv 2104.08771, who train embeddings as well.
"""

import re
from typing import Dict, Optional

import torch

from espnet_samu.layers.adapter_mark import has_adapters
from espnet_samu.layers.parts import PARTS, Part, find_part, has_part

# By part: the patterns of Family that are trained.
PRESETS = {
    "encoder": {
        "all": None,
        "none": (),
        "adapters": (),
        "lna_e": ("layer_norms", "attention_names"),
    },
    "decoder": {
        "all": None,
        "none": (),
        "adapters": (),
        "lna_d": ("layer_norms", "attention_names", "cross_attention_names"),
        "cross_attention": ("cross_attention_names",),
    },
}
MODEL_PRESETS = {
    "all": {"encoder": "all", "decoder": "all"},
    "none": {"encoder": "none", "decoder": "none"},
    "adapters": {"encoder": "adapters", "decoder": "adapters"},
    "lna_e": {"encoder": "lna_e"},
    "lna_d": {"decoder": "lna_d"},
    "lna_ed": {"encoder": "lna_e", "decoder": "lna_d"},
    "cross_attention": {"encoder": "none", "decoder": "cross_attention"},
}
NO_ADAPTERS = "there are no adapters to train; set --adapters"


def part_presets(
    model: torch.nn.Module, preset: str, part: Optional[str]
) -> Dict[str, str]:
    """A preset as presets of parts.

    Args:
        model: Of ESPnet, with its adapters.
        preset: One that there is.
        part: ``encoder``, ``decoder`` or None: the whole model.

    Raises:
        ValueError: ``adapters`` without adapters.
    """
    if part is not None:
        return {part: preset}
    presets = MODEL_PRESETS[preset]
    if preset in ("all", "none"):
        return {name: value for name, value in presets.items() if has_part(model, name)}
    if preset == "adapters":
        known = {name: find_part(model, name) for name in PARTS}
        presets = {n: preset for n, p in known.items() if p and has_adapters(p.model)}
        if not presets:
            raise ValueError(f"trainable: {preset}: {NO_ADAPTERS}")
    return presets


def trained_names(part: Part, preset: str) -> Dict[str, bool]:
    """Whether each pre-trained parameter of a part is trained, by its name there."""
    patterns = [getattr(part.family, name) for name in PRESETS[part.name][preset]]
    return {
        name: any(re.search(pattern, name) for pattern in patterns)
        for name in part.pretrained()
    }
