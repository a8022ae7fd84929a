"""Which parameters are trained: presets and rules of names.

``trainable`` is one of

* a preset for the whole model: ``lna_ed``;
* presets and rules for the whole model, in turn; the last that matches wins::

    trainable: [lna_ed, ['encoder\\.layers\\.0\\.', false]]

* either of them for each part; a part that is not named stays as it is::

    trainable: {encoder: [none, [layer_norm, true]], decoder: lna_d}

The presets (:mod:`espnet_samu.layers.presets`) speak of the pre-trained transformer of
a part. They leave alone what is beside it: linear_in, pooling, projector, CTC, length
adaptor, adapters. Rules reach all. A rule is a regular expression, searched in the
names that parameters have in the state dict, and whether they are trained. What no
preset and no rule speaks of is trained.

Nothing is thawed that was frozen when the model was built (``freeze``,
``freeze_feature_encoder`` and ``layer`` of frontend_conf).
"""

import difflib
import re
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import torch

from espnet_samu.layers import presets
from espnet_samu.layers.adapter_mark import has_adapters
from espnet_samu.layers.parts import PARTS, get_part, has_part, names_of

Rules = Union[str, Sequence[Any]]


def set_trainable(
    model: torch.nn.Module, trainable: Union[Rules, Dict[str, Rules]]
) -> None:
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
    """Rules for one part of a model, or for all of it (None)."""

    def __init__(self, model: torch.nn.Module, part: Optional[str]):
        self.model = model
        self.part = part
        self.option = "trainable" if part is None else f"trainable: {part}"
        self.presets = presets.PRESETS[part] if part else presets.MODEL_PRESETS
        self.names = names_of(model, part)
        self.wanted = {parameter: True for parameter in self.names}

    def apply(self, rules: Rules) -> None:
        """Freeze what they leave out."""
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
        parts = presets.part_presets(self.model, preset, self.part)
        for name, value in parts.items():
            if value == "all":
                self.wanted.update(dict.fromkeys(names_of(self.model, name), True))
                continue
            part = get_part(self.model, name, f"{self.option}: {preset}")
            if value == "adapters" and not has_adapters(part.model):
                raise ValueError(f"{self.option}: {preset}: {presets.NO_ADAPTERS}")
            parameters = part.pretrained()
            trained = presets.trained_names(part, value)
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

    def _check_thawed(self, rule: str, wanted: List[torch.nn.Parameter]) -> None:
        if wanted and not any(parameter.requires_grad for parameter in wanted):
            raise ValueError(
                f"{self.option}: '{rule}' would train {self.names[wanted[0]][0]} and "
                f"the like ({len(wanted)} in all), but they are frozen by "
                "frontend_conf: look at freeze, freeze_feature_encoder and layer"
            )

    def _near(self, pattern: str) -> List[str]:
        """Names, or parts of names, that are like a pattern's letters."""
        letters = re.sub(r"[^\w.]+", "", pattern.replace(r"\d", "0")).strip(".")
        names = [name for group in self.names.values() for name in group]
        if "." not in letters:
            pieces = sorted({piece for name in names for piece in name.split(".")})
            names = difflib.get_close_matches(letters, pieces, 3, 0.5) or names
        return (difflib.get_close_matches(letters, names, 3, 0.3) or names)[:3]


def _parse(rule: Any, option: str) -> Tuple[re.Pattern, bool]:
    """A rule's pattern and value."""
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
