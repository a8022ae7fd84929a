"""Adapters by configuration.

``adapters`` names one kind of adapters for the encoder, the decoder or both::

    adapters: {encoder: {type: houlsby, size: 64}, decoder: {type: lora, size: 8}}

============  ====================================================================
``houlsby``   bottlenecks behind self-attention and feed-forward of each layer
``pfeiffer``  bottlenecks behind the feed-forward of each layer
``lora``      LoRA at linear layers, with ``alpha``, ``dropout`` and ``targets``
============  ====================================================================

``size`` is the dimension of the bottleneck, or LoRA's rank. The paper's kind, place and
size of adapters are not known: the choice is ours and the user's.
"""

import inspect
from typing import Any, Dict

import torch

from espnet_samu.layers.adapter_mark import has_adapters
from espnet_samu.layers.bottleneck import add_bottlenecks
from espnet_samu.layers.lora import add_lora
from espnet_samu.layers.parts import PARTS, Part, get_part


def _houlsby(part: Part, size: int) -> None:
    add_bottlenecks(part, size, after_attention=True)


def _pfeiffer(part: Part, size: int) -> None:
    add_bottlenecks(part, size, after_attention=False)


TYPES = {"houlsby": _houlsby, "pfeiffer": _pfeiffer, "lora": add_lora}


def add_adapters(model: torch.nn.Module, adapters: Dict[str, Dict[str, Any]]) -> None:
    """Put adapters into a model, which computes what it did before.

    Args:
        model: Of ESPnet; it is changed.
        adapters: See above.

    Raises:
        ValueError: A part, a type or an option is unknown, a value is out of range,
            or the part is not of a known family.
    """
    if not isinstance(adapters, dict) or not adapters:
        raise ValueError(
            f"adapters: {adapters!r} does not name parts: {{encoder: {{type: houlsby, "
            "size: 64}}"
        )
    for name, conf in adapters.items():
        if name not in PARTS:
            raise ValueError(f"adapters: '{name}' is not one of {', '.join(PARTS)}")
        conf = _checked(name, conf)
        part = get_part(model, name, f"adapters: {name}")
        if has_adapters(part.model):
            raise ValueError(f"adapters: {name}: there are adapters already")
        TYPES[conf.pop("type")](part, **conf)


def _checked(name: str, conf: Any) -> Dict[str, Any]:
    """A copy of the options of one part."""
    if not isinstance(conf, dict) or conf.get("type") not in TYPES:
        raise ValueError(
            f"adapters: {name}: {conf!r} needs a 'type', one of {', '.join(TYPES)}"
        )
    allowed = list(inspect.signature(TYPES[conf["type"]]).parameters)[1:]
    for key in conf:
        if key not in ("type", *allowed):
            raise ValueError(
                f"adapters: {name}: '{key}' is not an option of {conf['type']}: "
                f"{', '.join(allowed)}"
            )
    size = conf.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise ValueError(f"adapters: {name}: size is {size!r}; 1 is the least")
    dropout = conf.get("dropout", 0.0)
    if not 0 <= dropout < 1:
        raise ValueError(f"adapters: {name}: dropout is {dropout}; 0 <= dropout < 1")
    targets = conf.get("targets")
    if isinstance(targets, str) or targets == []:
        raise ValueError(
            f"adapters: {name}: targets is {targets!r}, not a list as [q_proj, v_proj]"
        )
    return dict(conf)
