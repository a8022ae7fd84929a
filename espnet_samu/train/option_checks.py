"""Checks of training options: GPUs, numbers, parameters without a gradient."""

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from espnet_samu.utils.torch_modules import outside_adapters


def has_unused_parameters(model: torch.nn.Module) -> bool:
    """Return whether an update may leave trained parameters without a gradient.

    DistributedDataParallel then needs ESPnet's ``unused_parameters``: else it stops in
    the second update. Parameters have no gradient in some updates with

    * an encoder that the first updates leave alone (``freeze_encoder_updates``);
    * LayerDrop, in transformers' models and in ESPnet's encoders;
    * the vector that takes the place of masked frames, where none is masked
      (``mask_feature_prob`` without ``mask_time_prob``).

    Args:
        model: Of ESPnet; frozen parameters already have ``requires_grad`` False.
    """
    if getattr(model, "freeze_encoder_updates", 0) > 0:
        return True
    return any(_drops_layers(m) or _masks_nothing(m) for m in model.modules())


def _drops_layers(module: torch.nn.Module) -> bool:
    """Return whether a module is a stack of trained layers with LayerDrop."""
    if hasattr(module, "layers"):
        rate = getattr(module, "layerdrop", _field(module, "layerdrop", 0.0))
    else:
        rate = getattr(module, "layer_drop_rate", 0.0)
    # Frozen layers around adapters are in eval mode.
    return rate > 0 and any(p.requires_grad for _, p in outside_adapters(module))


def _masks_nothing(module: torch.nn.Module) -> bool:
    """Return whether a trained mask vector (``masked_spec_embed``) is never used."""
    vector = module._parameters.get("masked_spec_embed")
    if vector is None or not vector.requires_grad:
        return False
    return not (
        _field(module, "apply_spec_augment", True)
        and _field(module, "mask_time_prob", 0.0) > 0
    )


def _field(module: torch.nn.Module, name: str, default: Any) -> Any:
    """Return a field of a module's transformers configuration."""
    return getattr(getattr(module, "config", None), name, default)


_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_TEXTS = frozenset({"fs", "model", "revision"})
"""Options that are a text even where it looks like a number."""


def ngpu_of(cmd: Sequence[str] | None) -> int:
    """Read ``--ngpu`` from the arguments of a command (default: of this process)."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--ngpu", type=int, default=0)
    return parser.parse_known_args(cmd)[0].ngpu


def check_gpus(ngpu: int) -> None:
    """Check that this machine has ``--ngpu`` GPUs.

    Raises:
        ValueError: It has fewer.
    """
    found = torch.cuda.device_count() if ngpu > 0 else 0
    if found < ngpu:
        raise ValueError(
            f"--ngpu {ngpu}: torch finds {found} GPUs on this machine "
            "(CUDA_VISIBLE_DEVICES hides others); --ngpu 0 trains on the CPU, and "
            "cmd_backend in a recipe's cmd.sh has jobs run on other machines"
        )


def check_numbers(options: Mapping[str, Any]) -> None:
    """Check that numbers in nested options (``optim_conf``) are not strings.

    To YAML 1.1 ``1e-4`` is a text, ``1.0e-4`` a number. Options of the parser itself
    (``grad_clip``) are made numbers by it.

    Raises:
        ValueError: Naming each of them.
    """
    wrong = [
        f"{name}: {text}"
        for option, value in options.items()
        if isinstance(value, Mapping)
        for name, text in _numbers_as_text(option, value)
    ]
    if wrong:
        raise ValueError(
            f"{', '.join(wrong)}: to YAML this is text, not a number; write a dot "
            "before the e and a sign after it (1e-4 as 1.0e-4), and no quotation marks"
        )


def _numbers_as_text(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, field in value.items():
            if key not in _TEXTS:
                yield from _numbers_as_text(f"{name}.{key}", field)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _numbers_as_text(name, item)
    elif isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        yield name, repr(value)
