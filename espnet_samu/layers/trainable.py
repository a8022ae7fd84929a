r"""Selection of the parameters to train: presets and name rules.

``trainable`` is one of

* a preset for the whole model: ``lna_ed``;
* presets and rules for the whole model, in turn; the last that matches wins::

    trainable: [lna_ed, ['encoder\.layers\.0\.', false]]

* either of them for each part; a part that is not named stays as it is::

    trainable: {encoder: [none, [layer_norm, true]], decoder: lna_d}

Presets (``PRESETS``) apply to the pre-trained transformer of a part, not to the modules
beside it: linear_in, pooling, projector, CTC, length adaptor, adapters. Rules apply to
all parameters: a rule is a regular expression, searched in the names of the state dict,
and whether the parameters are trained. Those that no preset and no rule names are
trained.

Nothing is thawed that was frozen when the model was built (``freeze``,
``freeze_feature_encoder`` and ``layer`` of frontend_conf).
"""

import difflib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from espnet_samu.layers.parts import (
    PARTS,
    Part,
    find_part,
    get_part,
    has_part,
    names_of,
)
from espnet_samu.utils.atomic import atomic_write
from espnet_samu.utils.torch_modules import has_adapters


class Count(NamedTuple):
    """Number of parameters of a module."""

    total: int
    trainable: int


def count_parameters(model: torch.nn.Module) -> dict[str, Count]:
    """Count the parameters of each direct child, and of all.

    Args:
        model: Shared parameters are counted once, where they occur first.

    Returns:
        Counts by name of the child; ``all`` for the whole model.
    """
    counts: dict[str, Count] = {}
    for name, parameter in model.named_parameters():
        size = parameter.numel()
        trainable = size if parameter.requires_grad else 0
        for key in (name.split(".")[0], "all"):
            old = counts.get(key, Count(0, 0))
            counts[key] = Count(old.total + size, old.trainable + trainable)
    # The sum last.
    counts["all"] = counts.pop("all", Count(0, 0))
    return counts


def format_budget(counts: dict[str, Count]) -> str:
    """Return the counts as a table: module, total, trainable, share."""
    rows = [f"{'module':<16} {'total':>13} {'trainable':>13} {'%':>6}"]
    for name, (total, trainable) in counts.items():
        share = 100 * trainable / total if total else 0.0
        rows.append(f"{name:<16} {total:>13,} {trainable:>13,} {share:>6.1f}")
    return "\n".join(rows)


def save_budget(counts: dict[str, Count], path: Path) -> None:
    """Write the counts as JSON."""
    content = {name: count._asdict() for name, count in counts.items()}
    with atomic_write(path) as file:
        json.dump(content, file, indent=2)


# By part: the patterns of Family that are trained.
PRESETS: dict[str, dict[str, tuple[str, ...] | None]] = {
    "encoder": {
        "all": None,
        "none": (),
        "adapters": (),
        "lna_e": ("layer_norms", "attention_names"),
    },
    "decoder": {
        "all": None,
        "none": (),
        "adapters": (),
        "lna_d": ("layer_norms", "attention_names", "cross_attention_names"),
        "cross_attention": ("cross_attention_names",),
    },
}
MODEL_PRESETS = {
    "all": {"encoder": "all", "decoder": "all"},
    "none": {"encoder": "none", "decoder": "none"},
    "adapters": {"encoder": "adapters", "decoder": "adapters"},
    "lna_e": {"encoder": "lna_e"},
    "lna_d": {"decoder": "lna_d"},
    "lna_ed": {"encoder": "lna_e", "decoder": "lna_d"},
    "cross_attention": {"encoder": "none", "decoder": "cross_attention"},
}
NO_ADAPTERS = "there are no adapters to train; set --adapters"


def part_presets(
    model: torch.nn.Module, preset: str, part: str | None
) -> dict[str, str]:
    """Return a preset as presets of parts.

    Args:
        model: Of ESPnet, with its adapters.
        preset: One that there is.
        part: ``encoder``, ``decoder`` or None: the whole model.

    Raises:
        ValueError: ``adapters`` without adapters.
    """
    if part is not None:
        return {part: preset}
    presets = MODEL_PRESETS[preset]
    if preset in ("all", "none"):
        return {name: value for name, value in presets.items() if has_part(model, name)}
    if preset == "adapters":
        known = {name: find_part(model, name) for name in PARTS}
        presets = {n: preset for n, p in known.items() if p and has_adapters(p.model)}
        if not presets:
            raise ValueError(f"trainable: {preset}: {NO_ADAPTERS}")
    return presets


def trained_names(part: Part, preset: str) -> dict[str, bool]:
    """Return whether each pre-trained parameter of a part is trained, by name."""
    names = PRESETS[part.name][preset] or ()
    patterns = [getattr(part.family, name) for name in names]
    return {
        name: any(re.search(pattern, name) for pattern in patterns)
        for name in part.pretrained()
    }


Rules = str | Sequence[Any]


def set_trainable(model: torch.nn.Module, trainable: Rules | dict[str, Rules]) -> None:
    """Freeze the parameters that are not to be trained.

    Args:
        model: Of ESPnet, with its adapters.
        trainable: See above.

    Raises:
        ValueError: A preset or a part is unknown, or not for this model; a rule is not
            one, matches nothing, or asks for what is frozen; rules freeze nothing.
    """
    if not isinstance(trainable, dict):
        _PartRules(model, None).apply(trainable)
        return
    for part, rules in trainable.items():
        if part not in PARTS:
            raise ValueError(f"trainable: '{part}' is not one of {', '.join(PARTS)}")
        if not has_part(model, part):
            raise ValueError(f"trainable: the model has no {part}; leave it out")
        _PartRules(model, part).apply(rules)


class _PartRules:
    """Rules for one part of a model, or for the whole (None)."""

    def __init__(self, model: torch.nn.Module, part: str | None):
        self.model = model
        self.part = part
        self.option = "trainable" if part is None else f"trainable: {part}"
        self.presets = PRESETS[part] if part else MODEL_PRESETS
        self.names = names_of(model, part)
        self.wanted = {parameter: True for parameter in self.names}

    def apply(self, rules: Rules) -> None:
        """Freeze the parameters that the rules exclude."""
        if not isinstance(rules, (str, list, tuple)) or not rules:
            raise ValueError(
                f"{self.option}: {rules!r} is neither a preset "
                f"({', '.join(self.presets)}) nor a list of presets and rules"
            )
        for rule in [rules] if isinstance(rules, str) else rules:
            if isinstance(rule, str):
                self._follow_preset(rule)
            else:
                self._follow_rule(rule)
        frozen = [p for p, wanted in self.wanted.items() if not wanted]
        if not isinstance(rules, str) and not any(p.requires_grad for p in frozen):
            raise ValueError(
                f"{self.option}: {list(rules)} freezes nothing that is not frozen "
                "anyway; rules with true go after a preset that freezes, as [none, "
                "[layer_norm, true]]"
            )
        for parameter in frozen:
            parameter.requires_grad_(False)

    def _follow_preset(self, preset: str) -> None:
        if preset not in self.presets:
            raise ValueError(
                f"{self.option}: '{preset}' is not one of the presets "
                f"{', '.join(self.presets)}; a rule is [regular expression, true or "
                "false]"
            )
        parts = part_presets(self.model, preset, self.part)
        for name, value in parts.items():
            if value == "all":
                self.wanted.update(dict.fromkeys(names_of(self.model, name), True))
                continue
            part = get_part(self.model, name, f"{self.option}: {preset}")
            if value == "adapters" and not has_adapters(part.model):
                raise ValueError(f"{self.option}: {preset}: {NO_ADAPTERS}")
            parameters = part.pretrained()
            trained = trained_names(part, value)
            wanted = {parameters[key]: value for key, value in trained.items()}
            self._check_thawed(preset, [p for p, value in wanted.items() if value])
            self.wanted.update(wanted)

    def _follow_rule(self, rule: Any) -> None:
        pattern, value = _parse(rule, self.option)
        matched = [
            parameter
            for parameter, names in self.names.items()
            if any(pattern.search(name) for name in names)
        ]
        if not matched:
            raise ValueError(
                f"{self.option}: the rule '{pattern.pattern}' matches no parameter; "
                f"near are {', '.join(self._near(pattern.pattern))}"
            )
        if value:
            self._check_thawed(pattern.pattern, matched)
        self.wanted.update(dict.fromkeys(matched, value))

    def _check_thawed(self, rule: str, wanted: list[torch.nn.Parameter]) -> None:
        if wanted and not any(parameter.requires_grad for parameter in wanted):
            raise ValueError(
                f"{self.option}: '{rule}' would train {self.names[wanted[0]][0]} and "
                f"the like ({len(wanted)} in all), but they are frozen by "
                "frontend_conf: look at freeze, freeze_feature_encoder and layer"
            )

    def _near(self, pattern: str) -> list[str]:
        """Return parameter names similar to a pattern."""
        letters = re.sub(r"[^\w.]+", "", pattern.replace(r"\d", "0")).strip(".")
        names = [name for group in self.names.values() for name in group]
        if "." not in letters:
            pieces = sorted({piece for name in names for piece in name.split(".")})
            names = difflib.get_close_matches(letters, pieces, 3, 0.5) or names
        return (difflib.get_close_matches(letters, names, 3, 0.3) or names)[:3]


def _parse(rule: Any, option: str) -> tuple[re.Pattern, bool]:
    """Return pattern and value of a rule."""
    try:
        pattern, value = rule
        if not isinstance(value, bool):
            raise TypeError(f"{value!r} is neither true nor false")
        return re.compile(pattern), value
    except (TypeError, ValueError, re.error) as error:
        raise ValueError(
            f"{option}: {rule!r} is not a rule [regular expression, true or false]: "
            f"{error}"
        ) from None
