"""Resuming: the saved state of a training, and which options may differ from it.

ESPnet writes config.yaml before it looks at the checkpoint, and takes hyperparameters
from the checkpoint. So here the options of a resumed training are compared with those
that it was begun with, before anything is written: what can be changed is used from the
next epoch on, anything else is refused.
"""

import contextlib
import filecmp
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from espnet_samu.text.tokenizer_files import (
    FOLDERS,
    is_same_tokenizer,
    own_tokenizer,
)
from espnet_samu.utils.base_weights import frozen_weights
from espnet_samu.utils.provenance import WITHOUT_EFFECT, WITHOUT_EFFECT_PREFIXES
from espnet_samu.utils.safe_reading import read_yaml

CHECKPOINT = "checkpoint.pth"
EARLIER = "checkpoint.earlier.pth"
"""The state before an epoch whose files are being written; empty: there was none."""
CONFIG = "config.yaml"
EARLIER_CONFIG = "config.earlier.yaml"
"""config.yaml of the saved state, until a resumed training has saved its next one."""

_FIXED = frozenset(
    "adapter adapters bpemodel exclude_weight_decay exclude_weight_decay_conf "
    "freeze_param init init_from_samu init_param input_size lr_scales optim samu_model "
    "save_strategy save_trained_only scheduler src_bpemodel src_token_list token_list "
    "train_dtype trainable use_adapter".split()
)
"""Options that have an effect only when a training begins."""
_FREE_PARTS = ("specaug", "preprocessor", "optim", "scheduler", "model")
"""Of the options with a ``_conf``: those that are no part of the model."""
_FREE_FIELDS = ("drop", "mask", "spec_augment", "dtype", "checkpointing")
"""Of a part's fields, by a piece of their name: what does not change its function."""
_FIXED_FIELDS = ("sym_", "ignore_id")

Changes = dict[str, tuple[Any, Any]]
"""Earlier and present value of an option, by its name: ``optim_conf.lr``."""


def has_state(output_dir: Path | str) -> bool:
    """Return whether a folder has a checkpoint to resume from.

    A training that was killed while it wrote may have left the earlier state alone,
    or half a file where there was no state before.
    """
    earlier = Path(output_dir) / EARLIER
    if earlier.exists():
        return earlier.stat().st_size > 0
    return (Path(output_dir) / CHECKPOINT).exists()


def read_structure(checkpoint: Path | str) -> dict[str, Any]:
    """Read a checkpoint with tensors on the meta device: shapes, but no values."""
    return torch.load(checkpoint, map_location="meta", mmap=True, weights_only=True)


@contextlib.contextmanager
def kept_config(output_dir: Path) -> Iterator[None]:
    """Keep the saved state's config.yaml until the trainer saves a new checkpoint.

    The trainer removes what is kept here. After a kill the next run brings it back.
    """
    config, earlier = output_dir / CONFIG, output_dir / EARLIER_CONFIG
    if earlier.exists():
        os.replace(earlier, config)
    if config.exists() and has_state(output_dir):
        temporary = output_dir / f"{EARLIER_CONFIG}.tmp"
        shutil.copy2(config, temporary)
        os.replace(temporary, earlier)
    try:
        yield
    finally:
        if earlier.exists():
            os.replace(earlier, config)


def changed_options(output_dir: Path) -> Changes:
    """Return the options that differ between the saved and the new config.yaml."""
    earlier = output_dir / EARLIER_CONFIG
    if not earlier.exists():
        return {}
    present = read_yaml(output_dir / CONFIG)
    return compare_options(_read_earlier(output_dir, present), present)


def _read_earlier(output_dir: Path, present: Mapping[str, Any]) -> dict[str, Any]:
    """Read the saved state's options; a copy of a tokenizer equals what was copied."""
    earlier = read_yaml(output_dir / EARLIER_CONFIG)
    for option in FOLDERS.keys() & earlier.keys():
        # Of a folder that was moved.
        earlier[option] = own = own_tokenizer(earlier[option], output_dir)
        value = present.get(option)
        if own is not None and value is not None and is_same_tokenizer(own, value):
            earlier[option] = value
    return earlier


def compare_options(
    earlier: Mapping[str, Any],
    present: Mapping[str, Any],
    defaults: Mapping[str, Any] | None = None,
) -> Changes:
    """Compare the options that decide the weights of a training.

    Args:
        earlier: Options by name. Those that only one side has are compared with their
            default.
        present: Options by name.
        defaults: Options by name, those of parts (``pooling_conf``) complete.
    """
    changes: Changes = {}
    for name, value in present.items():
        if name in WITHOUT_EFFECT or name.startswith(WITHOUT_EFFECT_PREFIXES):
            continue
        if name not in earlier and name not in (defaults or {}):
            continue
        if name == "init_param" and not value:
            continue  # The checkpoint has them.
        default = (defaults or {}).get(name)
        _compare(name, earlier.get(name, default), value, default, changes)
    return changes


def _compare(
    name: str, before: Any, value: Any, default: Any, changes: Changes
) -> None:
    if isinstance(before, Mapping) and isinstance(value, Mapping):
        if name.endswith(".model_conf"):
            before, value = _with_defaults(before), _with_defaults(value)
        elif isinstance(default, Mapping):
            before, value = {**default, **before}, {**default, **value}
        for key in dict.fromkeys((*before, *value)):
            _compare(f"{name}.{key}", before.get(key), value.get(key), None, changes)
    elif not _same(before, value):
        changes[name] = (before, value)


def _with_defaults(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields that a transformers configuration knows, with defaults."""
    from transformers import CONFIG_MAPPING

    known = CONFIG_MAPPING[fields["model_type"]]().to_dict()
    return {key: fields.get(key, value) for key, value in known.items()}


def _same(before: Any, value: Any) -> bool:
    """Return whether two values are equal; a moved file equals itself."""
    if isinstance(before, (list, tuple)) and isinstance(value, (list, tuple)):
        return len(before) == len(value) and all(map(_same, before, value))
    if before == value or (not before and not value and 0 not in (before, value)):
        return True
    if not (isinstance(before, str) and isinstance(value, str)):
        return False
    # --init_param has FILE:from:to.
    (old, _, rest), (new, _, new_rest) = before.partition(":"), value.partition(":")
    if rest != new_rest or not Path(new).is_file():
        return False
    if not Path(old).is_file():
        return Path(old).name == Path(new).name
    return filecmp.cmp(old, new, shallow=False)


def is_fixed(name: str, values: tuple[Any, Any], scheduler: str | None) -> bool:
    """Return whether an option cannot change when a training is resumed.

    Args:
        name: Of the option: ``optim_conf.lr``.
        values: Earlier and present value.
        scheduler: Of the training.
    """
    option, _, field = name.partition(".")
    field = field.rpartition(".")[2]
    if option in _FIXED:
        return True
    if option == "optim_conf":
        # Flags add entries to the state; a plateau scheduler's depends on past losses.
        return any(isinstance(v, bool) for v in values) or _is_plateau(scheduler)
    if option == "scheduler_conf":
        return _is_plateau(scheduler)
    if option == "model_conf":
        return any(piece in field for piece in _FIXED_FIELDS)
    part = option.removesuffix("_conf")
    if part == option or part in _FREE_PARTS:
        return False
    return not any(piece in field for piece in _FREE_FIELDS)


def _is_plateau(scheduler: str | None) -> bool:
    return scheduler is not None and "plateau" in scheduler.lower()


def check_resume(
    output_dir: Path,
    options: Mapping[str, Any],
    defaults: Mapping[str, Any],
    model: torch.nn.Module,
) -> None:
    """Check that a training can be resumed with these options; log the changed ones.

    Args:
        output_dir: Its folder, with the kept config.yaml.
        options: Options by name, as config.yaml will have them.
        defaults: Options by name.
        model: The model, its frozen parameters marked.

    Raises:
        ValueError: The checkpoint does not fit the model, an option can only be
            chosen at the beginning, or the training has ended.
    """
    if not (output_dir / EARLIER_CONFIG).exists():
        return
    changes = compare_options(_read_earlier(output_dir, options), options, defaults)
    state = read_structure(
        output_dir / (EARLIER if (output_dir / EARLIER).exists() else CHECKPOINT)
    )
    fixed = {
        name: values
        for name, values in changes.items()
        if is_fixed(name, values, options.get("scheduler"))
        or name.partition(".")[0] in _parts_of(options)
    }
    other = _other_parameters(state, options, model)
    ways = (
        "Nothing was changed there. Restore them, or train in another folder "
        "(samu_st.sh: --samu_tag or --st_tag)"
    )
    if fixed or other:
        raise ValueError(
            f"{output_dir}: the training cannot be resumed with options other than it "
            f"was started with: {_describe(fixed or changes) + other}. {ways}; "
            f"--init_param {output_dir}/latest.pth starts from its weights"
        )
    if not changes:
        return
    epoch = state["reporter"]["epoch"]
    if _has_ended(state["reporter"], options):
        raise ValueError(
            f"{output_dir}: the training has ended with epoch {epoch}, so that these "
            f"options would not be used: {_describe(changes)}. {ways}, or raise "
            "max_epoch to go on with them"
        )
    logging.warning(
        f"Resumed after epoch {epoch}. Options changed from here on: "
        f"{_describe(changes)}"
    )


def _parts_of(options: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the options that choose a part of the model."""
    return frozenset(
        name
        for name in options
        if f"{name}_conf" in options and name not in _FREE_PARTS
    )


def _other_parameters(
    state: Mapping[str, Any], options: Mapping[str, Any], model: torch.nn.Module
) -> str:
    """Describe what in a checkpoint does not fit the model; "" if all does."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [g for x in state["optimizers"] for g in x["param_groups"]]
    if sum(len(group["params"]) for group in groups) != len(trained):
        return f" (it trained another number of parameters than {len(trained)})"
    if options.get("use_adapter"):
        return ""
    theirs = {k: tuple(v.shape) for k, v in state["model"].items()}
    ours = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    if options.get("save_trained_only"):
        frozen = frozen_weights(model)
        ours = {k: v for k, v in ours.items() if k in theirs or k not in frozen}
    if options.get("model_conf", {}).get("freeze_encoder_updates", 0) == 0:
        theirs.pop("updates", None)
    for name in sorted({*theirs, *ours}):
        if theirs.get(name) != ours.get(name):
            return (
                f" (its checkpoint has {theirs.get(name, 'no')} for {name}, the model "
                f"{ours.get(name, 'none')})"
            )
    return ""


def _has_ended(reporter: Mapping[str, Any], options: Mapping[str, Any]) -> bool:
    """Return whether ESPnet's trainer would train no further epoch."""
    from espnet2.train.reporter import Reporter

    known = Reporter()
    known.load_state_dict(dict(reporter))
    if known.get_epoch() >= options["max_epoch"]:
        return True
    criterion = options["early_stopping_criterion"]
    return (
        options["patience"] is not None
        and known.has(*criterion[:2])
        and known.check_early_stopping(options["patience"], *criterion)
    )


def _describe(changes: Changes) -> str:
    parts = []
    for name, values in changes.items():
        before, value = (str(x) for x in values)
        short = len(before) + len(value) < 120
        parts.append(f"{name} {before} -> {value}" if short else name)
    return ", ".join(parts)
