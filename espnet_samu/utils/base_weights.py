"""Checkpoints without the weights that are not trained.

Those are written once, to a file beside the checkpoints, and known by a checksum.
"""

import hashlib
from functools import partial
from pathlib import Path
from typing import Dict, FrozenSet, Optional, Union

import torch

from espnet_samu.decoding.config_yaml import read_yaml
from espnet_samu.layers.adapter_mark import WRAPPED
from espnet_samu.utils.atomic import atomic_write
from espnet_samu.utils.zip_size import check_zip_size


def read_state_dict(path: Union[Path, str]) -> Dict[str, torch.Tensor]:
    """Read the parameters of a checkpoint, on the CPU.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged, would fill the memory, or holds something else.
    """
    from espnet2.torch_utils.safe_torch_load import safe_torch_load

    check_zip_size(path)
    try:
        state = safe_torch_load(path, map_location="cpu")
    except OSError:
        raise
    except Exception as error:
        # What torch's unpickler raises for damaged bytes may be anything.
        reason = str(error.__cause__ or error).partition("\n")[0]
        raise ValueError(
            f"{path} is damaged, or no checkpoint of a model ({reason})"
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
            f"{path} is no checkpoint of a model: a {kind}, not tensors by name. "
            "Models of an experiment are valid.*.pth and *epoch.pth, not checkpoint.pth"
        )
    return state


def frozen_weights(model: torch.nn.Module) -> Dict[str, torch.Tensor]:
    """Frozen parameters, by their keys in the state dict."""
    return {
        key: value.detach()
        for key, value in model.state_dict(keep_vars=True).items()
        if isinstance(value, torch.nn.Parameter) and not value.requires_grad
    }


def checksum(weights: Dict[str, torch.Tensor]) -> str:
    """SHA-256 of names, types, shapes and numbers."""
    digest = hashlib.sha256()
    seen: Dict[int, str] = {}
    for name in sorted(weights):
        weight = weights[name].cpu().contiguous()
        # Tied weights are read once.
        first = seen.setdefault(weights[name].data_ptr(), name)
        digest.update(f"{name} {first} {weight.dtype} {list(weight.shape)}\n".encode())
        if first == name:
            digest.update(weight.flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def save_base(weights: Dict[str, torch.Tensor], path: Path) -> None:
    """Write frozen weights."""
    with atomic_write(path, "wb") as file:
        torch.save(weights, file)


def read_base(path: Union[Path, str], sha256: str) -> Dict[str, torch.Tensor]:
    """Read frozen weights.

    Args:
        path: From :func:`save_base`.
        sha256: Their :func:`checksum`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: Its content is another one.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"{path} is missing: the checkpoints beside it have only what was trained "
            "(save_trained_only), and it has the rest; copy it with them"
        )
    weights = read_state_dict(path)
    if checksum(weights) != sha256:
        raise ValueError(
            f"{path} is not the file that the checkpoints beside it belong to: its "
            f"checksum is {checksum(weights)[:12]}..., but config.yaml says "
            f"{sha256[:12]}..."
        )
    return weights


def base_of(checkpoint: Union[Path, str]) -> Optional[Path]:
    """File of the frozen weights that a checkpoint does without.

    Args:
        checkpoint: Its config.yaml, if there is one, says so.

    Returns:
        Checked; None: the checkpoint has all weights.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: Its content is another one.
    """
    config = Path(checkpoint).parent / "config.yaml"
    base = read_yaml(config).get("base_weights") if config.is_file() else None
    if base is None:
        return None
    path = config.parent / base["file"]
    read_base(path, base["sha256"])
    return path


def read_weights(checkpoint: Union[Path, str]) -> Dict[str, torch.Tensor]:
    """All weights of a model, from a checkpoint and what it does without.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: The frozen weights are others than those of the training.
    """
    state = read_state_dict(checkpoint)
    base = base_of(checkpoint)
    return state if base is None else {**read_state_dict(base), **state}


def load_base(model: torch.nn.Module, path: Union[Path, str], sha256: str) -> None:
    """Fill the frozen weights of a model, which then loads checkpoints without them.

    Args:
        model: Its state dict is as in training.
        path: From :func:`save_base`.
        sha256: Their :func:`checksum`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: Its content is another one, or not of this model.
    """
    weights = read_base(path, sha256)
    unexpected = model.load_state_dict(weights, strict=False).unexpected_keys
    if unexpected:
        raise ValueError(f"{path}: the model has no {', '.join(unexpected[:3])}")
    load_without(model, frozenset(weights))


def leave_out(model: torch.nn.Module, names: FrozenSet[str]) -> None:
    """Drop keys from a model's state dict, and do without them in loading."""
    model.register_state_dict_post_hook(partial(_drop, names))
    load_without(model, names)


def load_without(model: torch.nn.Module, names: FrozenSet[str]) -> None:
    """Let a model load state dicts that lack these keys."""
    model.register_load_state_dict_post_hook(partial(_do_without, names))


def _drop(names, module, state_dict, prefix, local_metadata) -> None:
    for name in names:
        state_dict.pop(prefix + name, None)


def _do_without(names, module, incompatible) -> None:
    # Names as modules have them, those of LoRA's layers among them.
    incompatible.missing_keys[:] = [
        key
        for key in incompatible.missing_keys
        if key.replace(WRAPPED, "") not in names
    ]
