"""``--init_param``: what is loaded, and checks that nothing is lost or left out."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path

import torch

from espnet_samu.utils.base_weights import base_of
from espnet_samu.utils.state_dict import read_state_dict
from espnet_samu.utils.token_rows import (
    has_same_lists,
    has_tokens,
    loaded_names,
    matched_rows,
)
from espnet_samu.utils.torch_modules import adapter_keys

# Parts that a training adds to a model: the head of the auxiliary distillation, filled
# from the student, and the count of updates.
_OF_TRAINING = ("distillation.", "updates")
# Of layers.adapters: LoRA's and the bottlenecks'.
_ADAPTER = re.compile(r"\.(lora_[AB]|bottleneck)\.")
MASK_VECTOR = "masked_spec_embed"
"""What transformers puts in the place of masked frames; only there if masks are on."""


def add_base_weights(specs: Sequence[str]) -> list[str]:
    """Insert the frozen base weights in front of checkpoints that lack them.

    Args:
        specs: ``FILE:SRC_KEY:DST_KEY:EXCLUDED_KEYS`` each, as ESPnet reads it.

    Returns:
        The same, and before each FILE of a training with ``save_trained_only`` that
        training's frozen weights, with the same keys.

    Raises:
        FileNotFoundError: These weights are not where config.yaml says.
        ValueError: They are others.
    """
    complete: list[str] = []
    for spec in specs:
        path, *keys = spec.split(":", 1)
        base = base_of(path)
        before = ":".join([str(base), *keys])
        # Options from an earlier training's config.yaml name it already.
        if base is not None and before not in (spec, *complete):
            complete.append(before)
        complete.append(spec)
    return complete


def load_pretrained_model(
    init_param: str,
    model: torch.nn.Module,
    ignore_init_mismatch: bool,
    map_location: str = "cpu",
) -> None:
    """Load one ``--init_param``, with the frozen base weights that the file lacks.

    The registry puts it in the place of ESPnet's function of this name, so that
    ESPnet's own tasks start from all of a student of ``save_trained_only``, too. Rows
    of a translation model belong to tokens: see :mod:`espnet_samu.utils.token_rows`.

    Args:
        init_param: ``FILE:SRC_KEY:DST_KEY:EXCLUDED_KEYS``.
        model: The model to be filled.
        ignore_init_mismatch: Leave out what the model has not, or in another shape.
        map_location: Device of what is read.

    Raises:
        FileNotFoundError: The file's base weights are missing.
        ValueError: They are others, or the file has another token list, and which of
            its parameters have a row for each token is not known.
    """
    from espnet2.torch_utils import load_pretrained_model as host

    for spec in add_base_weights([init_param]):
        if spec != init_param:
            logging.info(f"{init_param} lacks frozen weights: loading {spec} first")
        path, src, dst, excluded = _split(spec)
        rows = {}
        # A large file is not read twice for nothing.
        if has_tokens(model, dst) and not (src == dst and has_same_lists(model, path)):
            rows = _matched_rows(spec, read_state_dict(path), model)
        if rows:
            keys = ",".join(filter(None, (excluded, *rows)))
            spec = f"{path}:{src}:{dst}:{keys}"
        host.load_pretrained_model(spec, model, ignore_init_mismatch, map_location)
        if rows:
            target, prefix = model.get_submodule(dst), f"{src}." if src else ""
            new = {key.removeprefix(prefix): value for key, value in rows.items()}
            target.load_state_dict({**target.state_dict(), **new})


def _matched_rows(
    spec: str, state: dict[str, torch.Tensor], model: torch.nn.Module
) -> dict[str, torch.Tensor]:
    """Return the parameters of a file whose rows are those of other tokens, matched."""
    path, src, dst, excluded = _split(spec)
    names = dict(loaded_names(state, src, dst, excluded))
    return matched_rows(f"--init_param {spec}", path, state, names, model)


def check_not_own_folder(specs: Sequence[str], output_dir: Path | str) -> None:
    """Check that a training does not start from files that it would overwrite.

    Args:
        specs: ``FILE:SRC_KEY:DST_KEY:EXCLUDED_KEYS`` each, as ESPnet reads it.
        output_dir: Of the training.

    Raises:
        ValueError: A file is in output_dir.
    """
    for spec in specs:
        file = Path(_split(spec)[0])
        if file.resolve().parent == Path(output_dir).resolve():
            raise ValueError(
                f"--init_param {file} is in --output_dir {output_dir}, whose models "
                "the training would overwrite; name another output_dir (samu_st.sh: "
                "--samu_tag or --st_tag)"
            )


def check_init_param(specs: Sequence[str], model: torch.nn.Module) -> None:
    """Check that ``--init_param`` fills each destination completely, and loses nothing.

    ESPnet copies the keys that it finds and says nothing of the others: a frontend
    with a forgotten prefix would start at random, one without the adapters of its file
    would compute something else. Adapters and what else a training adds may be new:
    files that have none of them leave them as they are. Parts that the model has not,
    as another training's CTC, may be left out.

    Args:
        specs: ``FILE:SRC_KEY:DST_KEY:EXCLUDED_KEYS`` each, as ESPnet reads it.
        model: The model to be filled.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The destination has parameters that no file has, a file has
            parameters of a part that have no place there, or of another shape.
    """
    destinations: dict[str, list[str]] = {}
    for spec in specs:
        destinations.setdefault(_split(spec)[2], []).append(spec)
    for destination, parts in destinations.items():
        _check_destination(destination, parts, model)


def _check_destination(dst: str, specs: list[str], model: torch.nn.Module) -> None:
    target = model.get_submodule(dst)
    names = list(target.state_dict())
    found: set[str] = set()
    excluded: set[str] = set()
    for spec in specs:
        path, src, _, excludes = _split(spec)
        by_token = has_tokens(model, dst)
        state = read_state_dict(path, shapes_only=not by_token)
        prefix = f"{src}." if src else ""
        if by_token:
            state.update(_matched_rows(spec, state, model))
        _check_source(f"--init_param {spec}", state, prefix, target, excludes)
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


def _check_source(
    what: str,
    state: dict[str, torch.Tensor],
    prefix: str,
    target: torch.nn.Module,
    excludes: str,
) -> None:
    """Raise an error for parameters of a file that have no place, or another shape."""
    wanted = target.state_dict()
    parts = {name.partition(".")[0] for name in wanted}
    beginnings = tuple(e for e in excludes.split(",") if e)
    lost, reshaped = [], []
    for key, value in state.items():
        name = key.removeprefix(prefix)
        if not key.startswith(prefix) or key.startswith(beginnings):
            continue
        if name not in wanted:
            known = name.partition(".")[0] in parts and not name.endswith(MASK_VECTOR)
            lost += [key] if known and not name.startswith(_OF_TRAINING) else []
        elif value.shape != wanted[name].shape:
            shapes = list(value.shape), list(wanted[name].shape)
            reshaped.append(f"{key} {shapes[0]} for {shapes[1]}")
    adapters = [key for key in lost if _ADAPTER.search(key)]
    if adapters:
        raise ValueError(
            f"{what}: the file has adapters ({len(adapters)} tensors, e.g. "
            f"{adapters[0]}), the model has none like them; set adapters as in its "
            "config.yaml, or merge LoRA into the weights first: python -m "
            "espnet_samu.bin.st_import --from FILE --merge_lora true (of a student: "
            "espnet_samu.bin.samu_export)"
        )
    if lost:
        raise ValueError(
            f"{what}: {len(lost)} parameters of the file have no place in the model, "
            f"e.g. {', '.join(lost[:3])}; set its parts (layers, sizes) as in its "
            "config.yaml, or name the keys after a third colon to leave them out"
        )
    if reshaped:
        raise ValueError(
            f"{what}: {len(reshaped)} parameters have another shape, e.g. "
            f"{', '.join(reshaped[:2])}; set the model's sizes and token list as in "
            "its config.yaml (new languages: python -m espnet_samu.bin.st_import "
            "--from FILE --add_languages ...), or name the keys after a third colon to "
            "leave them out"
        )


def _split(spec: str) -> tuple[str, str, str, str]:
    """Return file, source, destination and excluded keys, split as in ESPnet."""
    path, src, dst, excluded = (spec.split(":", 4) + [""] * 4)[:4]
    return path, src, dst, excluded


def _new_keys(target: torch.nn.Module, dst: str, found: set[str]) -> set[str]:
    """Return keys of parts that may be new and were not found at all."""
    keys = target.state_dict()
    parts = [adapter_keys(target), {k for k in keys if k.endswith(MASK_VECTOR)}]
    if not dst:
        for name in _OF_TRAINING:
            parts.append({k for k in keys if k.startswith(name)})
    return {key for part in parts if not part & found for key in part}
