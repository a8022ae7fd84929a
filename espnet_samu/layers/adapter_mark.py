"""Telling adapters from the pre-trained model they are in.

Adapters are children of pre-trained modules: hooks find them there in the copies of
``deepcopy`` and of DataParallel too. They are known by a mark, not by name.
"""

from typing import Iterator, Set, Tuple

import torch

# What peft puts between a layer and its pre-trained weight.
WRAPPED = "base_layer."


def mark_adapter(module: torch.nn.Module) -> None:
    """Say that a module is (a piece of) an adapter."""
    module.is_adapter = True


def is_adapter(module: torch.nn.Module) -> bool:
    """Whether a module is (a piece of) an adapter."""
    return getattr(module, "is_adapter", False)


def has_adapters(module: torch.nn.Module) -> bool:
    """Whether there is an adapter somewhere in a module."""
    return any(is_adapter(m) for m in module.modules())


def outside_adapters(
    module: torch.nn.Module, prefix: str = ""
) -> Iterator[Tuple[str, torch.nn.Parameter]]:
    """Parameters that are not in adapters, by their name in the state dict.

    Args:
        module: May be an adapter itself: then all of its parameters.
        prefix: Put before the names.
    """
    for name, parameter in module._parameters.items():
        if parameter is not None:
            yield prefix + name, parameter
    for name, child in module.named_children():
        if not is_adapter(child):
            below = f"{name}." if f"{name}." != WRAPPED else ""
            yield from outside_adapters(child, prefix + below)


def adapter_keys(module: torch.nn.Module) -> Set[str]:
    """Keys of a module's state dict that are those of adapters."""
    inside = [f"{name}." for name, child in module.named_modules() if is_adapter(child)]
    return {key for key in module.state_dict() if key.startswith(tuple(inside))}
