"""Reading and strict loading of state dicts, with one message for what is wrong."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from espnet_samu.utils.safe_reading import check_zip_size, describe_damage

NAMED = 5
"""Tensors that a message names of each kind."""


class StateDictError(ValueError):
    """Error for a state dict that does not fit a model."""

    other_shapes: tuple[str, ...] = ()
    """Tensors of another shape: ``name [found] for [wanted]``."""


def read_state_dict(
    path: Path | str, shapes_only: bool = False
) -> dict[str, torch.Tensor]:
    """Read the parameters of a checkpoint.

    Args:
        path: File that torch wrote.
        shapes_only: Read no values if the file's format allows it: the parameters are
            on the meta device then, else on the CPU.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged, would fill the memory, or holds something else.
    """
    from espnet2.torch_utils.safe_torch_load import safe_torch_load

    check_zip_size(path)
    try:
        state = _read_shapes(path) if shapes_only else None
        if state is None:
            state = safe_torch_load(path, map_location="cpu")
    except Exception as error:
        # What torch's unpickler raises for damaged bytes may be anything.
        reason = describe_damage(error)
        raise ValueError(
            f"{path} is damaged, or is not a model checkpoint ({reason})"
        ) from error
    if isinstance(state, dict):
        state = state.get("module", state)
    if (
        not isinstance(state, dict)
        or not state
        or not all(isinstance(value, torch.Tensor) for value in state.values())
    ):
        kind = type(state).__name__
        raise ValueError(
            f"{path} is not a model checkpoint: it holds a {kind}, not tensors. "
            "Models of an experiment are valid.*.pth and *epoch.pth, not checkpoint.pth"
        )
    return state


def _read_shapes(path: Path | str) -> Any:
    """Read a checkpoint on the meta device; None: not of torch's format of today."""
    try:
        return torch.load(path, map_location="meta", mmap=True, weights_only=True)
    except Exception:
        return None


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


def rename_tensor(name: str, names: Mapping[str, str]) -> str:
    """Return another name of a tensor; one that no pattern matches stays.

    Args:
        name: Its name.
        names: What to put in the place of a whole name, by regular expression.
    """
    for pattern, replacement in names.items():
        if match := re.fullmatch(pattern, name):
            return match.expand(replacement)
    return name


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
