"""Frozen weights that the checkpoints of ``save_trained_only`` lack: one file."""

import hashlib
from functools import partial
from pathlib import Path

import torch

from espnet_samu.utils.atomic import atomic_write
from espnet_samu.utils.safe_reading import check_no_pointer, read_yaml
from espnet_samu.utils.state_dict import load_strictly, read_state_dict
from espnet_samu.utils.torch_modules import WRAPPED


def frozen_weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return the frozen parameters by state-dict key."""
    return {
        key: value.detach()
        for key, value in model.state_dict(keep_vars=True).items()
        if isinstance(value, torch.nn.Parameter) and not value.requires_grad
    }


def checksum(weights: dict[str, torch.Tensor]) -> str:
    """Return the SHA-256 of names, types, shapes and values."""
    digest = hashlib.sha256()
    seen: dict[int, str] = {}
    for name in sorted(weights):
        weight = weights[name].cpu().contiguous()
        # Tied weights are read once.
        first = seen.setdefault(weights[name].data_ptr(), name)
        digest.update(f"{name} {first} {weight.dtype} {list(weight.shape)}\n".encode())
        if first == name:
            digest.update(weight.flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def save_base(weights: dict[str, torch.Tensor], path: Path) -> None:
    """Write frozen weights."""
    with atomic_write(path, "wb") as file:
        torch.save(weights, file)


def read_base(path: Path | str, sha256: str) -> dict[str, torch.Tensor]:
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
            f"{path} is missing: checkpoints beside it have only trained parameters "
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


def base_of(checkpoint: Path | str) -> Path | None:
    """Return the file of the frozen weights that a checkpoint lacks.

    Args:
        checkpoint: Beside its config.yaml, which names the file.

    Returns:
        Checked; None: the checkpoint has all weights.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: Its content is another one.
    """
    named = _named_base(checkpoint)
    if named is None:
        return None
    read_base(*named)
    return named[0]


def _named_base(checkpoint: Path | str) -> tuple[Path, str] | None:
    """Return file and checksum of the frozen weights that config.yaml names."""
    config = Path(checkpoint).parent / "config.yaml"
    if not config.is_file():
        return None
    check_no_pointer(config)
    # Another program's may be no YAML file of ours, and token lists take seconds.
    if b"base_weights:" not in config.read_bytes():
        return None
    base = read_yaml(config).get("base_weights")
    return None if base is None else (config.parent / base["file"], base["sha256"])


def read_weights(
    checkpoint: Path | str, shapes_only: bool = False
) -> dict[str, torch.Tensor]:
    """Read all weights of a model: a checkpoint and its frozen base weights.

    Args:
        checkpoint: File of the model.
        shapes_only: As in :func:`read_state_dict`, of the checkpoint.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: The frozen weights are others than those of the training.
    """
    state = read_state_dict(checkpoint, shapes_only)
    named = _named_base(checkpoint)
    return state if named is None else {**read_base(*named), **state}


def load_base(model: torch.nn.Module, path: Path | str, sha256: str) -> None:
    """Load the frozen weights of a model, whose checkpoints lack them.

    Args:
        model: Its state dict is as in training.
        path: From :func:`save_base`.
        sha256: Their :func:`checksum`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: Its content is another one, or not of this model.
    """
    weights = read_base(path, sha256)
    load_strictly(f"{path} is of another model", model, weights, is_partial=True)
    load_without(model, frozenset(weights))


def leave_out(model: torch.nn.Module, names: frozenset[str]) -> None:
    """Remove keys from a model's state dict, and accept loads without them."""
    model.register_state_dict_post_hook(partial(_drop, names))
    load_without(model, names)


def load_without(model: torch.nn.Module, names: frozenset[str]) -> None:
    """Accept state dicts that lack these keys."""
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
