"""LoRA inside a pre-trained transformer, by peft."""

from typing import List, Optional, Sequence

import torch

from espnet_samu.layers.adapter_mark import WRAPPED, mark_adapter
from espnet_samu.layers.parts import Part


def add_lora(
    part: Part,
    size: int,
    alpha: Optional[float] = None,
    dropout: float = 0.0,
    targets: Optional[Sequence[str]] = None,
) -> None:
    """Add a product of two narrow matrices to linear layers; at the start it is 0.

    peft renames a layer's parameters (``q_proj.base_layer.weight``). In the state dict
    they keep their pre-trained names all the same, so that checkpoints from before
    fill the model.

    Reference: Hu et al., "LoRA", arXiv 2106.09685, section 4.1.

    Args:
        part: The model is changed.
        size: Rank r of the product.
        alpha: The product is multiplied by alpha / r. None: r.
        dropout: Of what goes into the product, in training.
        targets: Names of linear layers of the transformer, or their ends. None: the
            projections of queries and values (WavLM: the feed-forward's layers).

    Raises:
        ValueError: There is no such linear layer, or LoRA would have no effect there.
    """
    from peft import LoraConfig, inject_adapter_in_model

    names = _linear_layers(part, tuple(targets or part.family.lora_targets))
    # peft freezes all but its own.
    trained = [p for p in part.model.parameters() if p.requires_grad]
    config = LoraConfig(
        r=size,
        lora_alpha=size if alpha is None else alpha,
        lora_dropout=dropout,
        target_modules=names,
    )
    inject_adapter_in_model(config, part.model)
    for parameter in trained:
        parameter.requires_grad_(True)
    for name in names:
        layer = part.model.get_submodule(name)
        for piece in (layer.lora_A, layer.lora_B, layer.lora_dropout):
            mark_adapter(piece)
        layer.register_state_dict_post_hook(_give_pretrained_names)
        layer.register_load_state_dict_pre_hook(_take_pretrained_names)


def merge_lora(model: torch.nn.Module) -> None:
    """Add the products to the weights and put the plain linear layers back."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if hasattr(child, "lora_A") and hasattr(child, "base_layer"):
                child.merge()
                setattr(parent, name, child.base_layer)


def _linear_layers(part: Part, targets: Sequence[str]) -> List[str]:
    """Names of the linear layers that targets mean, in the transformer's layers."""
    linear = [
        f"{prefix}.{name}"
        for prefix, layer in part.layers().items()
        for name, module in layer.named_modules()
        if isinstance(module, torch.nn.Linear)
    ]
    model_type = part.model.config.model_type
    found = []
    for target in targets:
        if target.split(".")[-1] in part.family.not_lora:
            raise ValueError(
                f"adapters: {part.name}: LoRA at '{target}' has no effect in "
                f"{model_type}, whose attention reads the weights alone; targets that "
                f"have are {', '.join(part.family.lora_targets)}"
            )
        matched = [n for n in linear if f".{n}".endswith(f".{target}")]
        if not matched:
            names = sorted(
                {name.split(".")[-1] for name in linear} - set(part.family.not_lora)
            )
            raise ValueError(
                f"adapters: {part.name}: LoRA's target '{target}' is not a linear "
                f"layer of {model_type}; there are {', '.join(names)}"
            )
        found += [name for name in matched if name not in found]
    return found


def _give_pretrained_names(module, state_dict, prefix, local_metadata) -> None:
    for key in [k for k in state_dict if k.startswith(prefix + WRAPPED)]:
        name = key[len(prefix + WRAPPED) :]
        state_dict[prefix + name] = state_dict.pop(key)


def _take_pretrained_names(module, state_dict, prefix, *_) -> None:
    for name, _parameter in module.base_layer.named_parameters():
        if prefix + name in state_dict:
            state_dict[prefix + WRAPPED + name] = state_dict.pop(prefix + name)
