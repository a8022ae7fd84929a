"""Starting a model from a part of another one, completely or not at all."""

import logging
from typing import Dict, List, Sequence, Set, Tuple

import torch

from espnet_samu.layers.adapter_mark import adapter_keys
from espnet_samu.utils.base_weights import base_of, read_state_dict

# What a training gives to a model: the head of a kept distillation, which its student
# has filled, and the count of updates.
_OF_TRAINING = ("distillation.", "updates")
MASK_VECTOR = "masked_spec_embed"
"""What transformers puts in the place of masked frames; only there if masks are on."""


def add_base_weights(specs: Sequence[str]) -> List[str]:
    """Put the weights that a checkpoint does without before it.

    Args:
        specs: ``FILE:SRC_KEY:DST_KEY:EXCLUDED_KEYS`` each, as ESPnet reads it.

    Returns:
        The same, and before each FILE of a training with ``save_trained_only`` that
        training's frozen weights, with the same keys.

    Raises:
        FileNotFoundError: These weights are not where config.yaml says.
        ValueError: They are others.
    """
    complete: List[str] = []
    for spec in specs:
        path, *keys = spec.split(":", 1)
        base = base_of(path)
        before = ":".join([str(base), *keys])
        # It is there if the options are those of an earlier training's config.yaml.
        if base is not None and before not in (spec, *complete):
            complete.append(before)
        complete.append(spec)
    return complete


def check_init_param(specs: Sequence[str], model: torch.nn.Module) -> None:
    """See that the ``--init_param`` of a destination fill all of it.

    ESPnet copies the keys that it finds and says nothing of the others: a frontend
    with a forgotten prefix would start at random. Adapters and what else a training
    adds may be new: files that have none of them leave them as they are.

    Args:
        specs: ``FILE:SRC_KEY:DST_KEY:EXCLUDED_KEYS`` each, as ESPnet reads it.
        model: The model to be filled.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The destination has parameters that no file has.
    """
    destinations: Dict[str, List[str]] = {}
    for spec in specs:
        destinations.setdefault(_split(spec)[2], []).append(spec)
    for destination, parts in destinations.items():
        _check_destination(destination, parts, model)


def _check_destination(dst: str, specs: List[str], model: torch.nn.Module) -> None:
    target = model.get_submodule(dst)
    names = list(target.state_dict())
    found: Set[str] = set()
    excluded: Set[str] = set()
    for spec in specs:
        path, src, _, excludes = _split(spec)
        state = read_state_dict(path)
        prefix = f"{src}." if src else ""
        found.update(k for k in names if prefix + k in state)
        beginnings = tuple(e for e in excludes.split(",") if e)
        excluded.update(k for k in names if (prefix + k).startswith(beginnings))
    new = _new_keys(target, dst, found)
    wanted = [k for k in names if k not in new]
    missing = [k for k in wanted if k not in found | excluded]
    text = f"--init_param {' '.join(specs)}"
    if missing:
        raise ValueError(
            f"{text}: {len(missing)} of {len(wanted)} parameters of "
            f"'{dst or 'the model'}' are not in the file, e.g. "
            f"{', '.join(prefix + k for k in missing[:3])}; start from a model of the "
            "same frontend_conf, name the keys after a third colon to leave them out, "
            "or pass --ignore_init_mismatch true"
        )
    kept = f"; {len(new)} of new parts stay as they are" if new else ""
    logging.info(f"{text}: fills all of {len(wanted)} parameters{kept}")


def _split(spec: str) -> Tuple[str, str, str, str]:
    """File, source, destination and excluded keys, as ESPnet splits them."""
    return tuple((spec.split(":", 4) + [""] * 4)[:4])


def _new_keys(target: torch.nn.Module, dst: str, found: Set[str]) -> Set[str]:
    """Keys of the parts that may be new and of which nothing was found."""
    keys = target.state_dict()
    parts = [adapter_keys(target), {k for k in keys if k.endswith(MASK_VECTOR)}]
    if not dst:
        for name in _OF_TRAINING:
            parts.append({k for k in keys if k.startswith(name)})
    return {key for part in parts if not part & found for key in part}
