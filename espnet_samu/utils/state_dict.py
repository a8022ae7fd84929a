"""Strict loading of state dicts, with one message for all that does not fit."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch

NAMED = 5
"""Tensors that a message names of each kind."""


class StateDictError(ValueError):
    """Error for a state dict that does not fit a model."""

    other_shapes: tuple[str, ...] = ()
    """Tensors of another shape: ``name [found] for [wanted]``."""


def check_names(
    what: str,
    missing: Iterable[str] = (),
    unexpected: Iterable[str] = (),
    other_shapes: Iterable[str] = (),
) -> None:
    """Raise an error if any tensor is missing, unexpected or of another shape.

    Args:
        what: What does not fit what, the beginning of the message.
        missing: Names of tensors.
        unexpected: Names of tensors.
        other_shapes: Names and shapes of tensors.

    Raises:
        StateDictError: Naming the first of each kind.
    """
    kinds = {
        "missing": sorted(missing),
        "unexpected": sorted(unexpected),
        "of another shape": sorted(other_shapes),
    }
    found = [f"{len(n)} {kind} {n[:NAMED]}" for kind, n in kinds.items() if n]
    if found:
        error = StateDictError(f"{what}: tensors {', '.join(found)}")
        error.other_shapes = tuple(kinds["of another shape"])
        raise error


def shape_of(tensor: Any) -> list[int]:
    """Return the shape of a tensor, or of a slice of a safetensors file."""
    if isinstance(tensor, torch.Tensor):
        return list(tensor.shape)
    return list(tensor.get_shape())


def compare_shapes(
    state: Mapping[str, Any], wanted: Mapping[str, Any]
) -> dict[str, str]:
    """Return `name [found] for [wanted]` by name, where the shapes differ."""
    return {
        name: f"{name} {shape_of(state[name])} for {shape_of(tensor)}"
        for name, tensor in wanted.items()
        if name in state and shape_of(state[name]) != shape_of(tensor)
    }


def check_tensors(
    what: str, state: Mapping[str, Any], wanted: Mapping[str, Any]
) -> None:
    """Raise an error unless `state` has the tensors of `wanted` and no others.

    Raises:
        StateDictError: Naming the first of those that differ.
    """
    missing, unexpected = wanted.keys() - state.keys(), state.keys() - wanted.keys()
    check_names(what, missing, unexpected, compare_shapes(state, wanted).values())


def load_strictly(
    what: str,
    model: torch.nn.Module,
    state: Mapping[str, torch.Tensor],
    is_partial: bool = False,
) -> None:
    """Load a state dict that has all of a model's tensors and no others.

    The model's own hooks may drop or rename tensors, as in ``load_state_dict``.

    Args:
        what: What does not fit what, the beginning of the message.
        model: Model to load.
        state: Tensors by name.
        is_partial: Whether tensors may be missing.

    Raises:
        StateDictError: Naming the first of those that do not fit.
    """
    differing = compare_shapes(state, model.state_dict())
    if differing:
        state = {k: v for k, v in state.items() if k not in differing}
    missing, unexpected = model.load_state_dict(state, strict=False)
    missing = [] if is_partial else [k for k in missing if k not in differing]
    check_names(what, missing, unexpected, differing.values())
