"""Adapters of pre-trained layers, and int8 weights of linear layers for decoding.

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
import warnings
from collections.abc import Sequence
from typing import Any, cast

import torch
from typeguard import typechecked

from espnet_samu.layers.parts import PARTS, Part, find_part, get_part
from espnet_samu.utils.torch_modules import WRAPPED, has_adapters, mark_adapter


class Bottleneck(torch.nn.Module):
    """Residual adapter x + up(relu(down(x))), the identity at initialisation.

    Reference: Houlsby et al., "Parameter-Efficient Transfer Learning for NLP", arXiv
    1902.00751, figure 2; as there, without a layer norm of its own.

    Args:
        dim: Dimension D of what goes in and comes out.
        size: Dimension between the two.
    """

    @typechecked
    def __init__(self, dim: int, size: int):
        super().__init__()
        self.down = torch.nn.Linear(dim, size)
        self.up = torch.nn.Linear(size, dim)
        torch.nn.init.zeros_(self.up.weight)
        torch.nn.init.zeros_(self.up.bias)
        mark_adapter(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (..., D) to (..., D)."""
        return x + self.up(torch.relu(self.down(x)))


def add_bottlenecks(part: Part, size: int, after_attention: bool) -> None:
    """Insert a bottleneck behind sublayers, in front of the residual addition.

    ``bottleneck`` is a child of the sublayer, so that no name of a pre-trained
    parameter changes, and is run by a hook, which finds it in the sublayer.

    Args:
        part: The model is changed.
        size: Dimension inside the bottleneck.
        after_attention: Also behind the self-attention (Houlsby), or behind the
            feed-forward only (Pfeiffer et al., "AdapterFusion", arXiv 2005.00247).
    """
    sublayers = [part.family.feed_forward]
    if after_attention:
        sublayers.insert(0, part.family.self_attention)
    config: Any = part.model.config
    for layer in part.layers().values():
        for name in sublayers:
            sublayer = layer.get_submodule(name)
            sublayer.bottleneck = Bottleneck(config.hidden_size, size)
            sublayer.register_forward_hook(_run_bottleneck)


def _run_bottleneck(module, args, output):
    if isinstance(output, tuple):
        return (module.bottleneck(output[0]), *output[1:])
    return module.bottleneck(output)


def add_lora(
    part: Part,
    size: int,
    alpha: float | None = None,
    dropout: float = 0.0,
    targets: Sequence[str] | None = None,
) -> None:
    """Add LoRA to linear layers; its product is 0 at initialisation.

    peft renames a layer's parameters (``q_proj.base_layer.weight``). In the state dict
    they keep their pre-trained names all the same, so that checkpoints from before
    fill the model.

    Reference: Hu et al., "LoRA", arXiv 2106.09685, section 4.1.

    Args:
        part: The model is changed.
        size: Rank r of the product.
        alpha: The product is multiplied by alpha / r. None: r.
        dropout: Of what goes into the product, in training.
        targets: Names of linear layers of the transformer, or their ends. None: the
            projections of queries and values (WavLM: the feed-forward's layers).

    Raises:
        ValueError: There is no such linear layer, or LoRA would have no effect there.
    """
    from peft import LoraConfig, inject_adapter_in_model

    names = _linear_layers(part, tuple(targets or part.family.lora_targets))
    # peft freezes all but its own.
    trained = [p for p in part.model.parameters() if p.requires_grad]
    config = LoraConfig(
        r=size,
        # peft declares an int, but divides by any number.
        lora_alpha=cast(int, size if alpha is None else alpha),
        lora_dropout=dropout,
        target_modules=names,
    )
    inject_adapter_in_model(config, part.model)
    for parameter in trained:
        parameter.requires_grad_(True)
    for name in names:
        layer: Any = part.model.get_submodule(name)
        for piece in (layer.lora_A, layer.lora_B, layer.lora_dropout):
            mark_adapter(piece)
        layer.register_state_dict_post_hook(_give_pretrained_names)
        layer.register_load_state_dict_pre_hook(_take_pretrained_names)


def merge_lora(model: torch.nn.Module) -> None:
    """Merge LoRA into the weights and restore the linear layers."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if hasattr(child, "lora_A") and hasattr(child, "base_layer"):
                layer: Any = child  # of peft
                layer.merge()
                setattr(parent, name, layer.base_layer)


def _linear_layers(part: Part, targets: Sequence[str]) -> list[str]:
    """Return the names of the linear layers that match the targets."""
    linear = [
        f"{prefix}.{name}"
        for prefix, layer in part.layers().items()
        for name, module in layer.named_modules()
        if isinstance(module, torch.nn.Linear)
    ]
    config: Any = part.model.config
    found = []
    for target in targets:
        if target.split(".")[-1] in part.family.not_lora:
            raise ValueError(
                f"adapters: {part.name}: LoRA at '{target}' has no effect in "
                f"{config.model_type}, whose attention reads the weights alone; "
                f"targets that have are {', '.join(part.family.lora_targets)}"
            )
        matched = [n for n in linear if f".{n}".endswith(f".{target}")]
        if not matched:
            names = sorted(
                {name.split(".")[-1] for name in linear} - set(part.family.not_lora)
            )
            raise ValueError(
                f"adapters: {part.name}: LoRA's target '{target}' is not a linear "
                f"layer of {config.model_type}; there are {', '.join(names)}"
            )
        found += [name for name in matched if name not in found]
    return found


def _give_pretrained_names(module, state_dict, prefix, local_metadata) -> None:
    for key in [k for k in state_dict if k.startswith(prefix + WRAPPED)]:
        name = key[len(prefix + WRAPPED) :]
        state_dict[prefix + name] = state_dict.pop(key)


def _take_pretrained_names(module, state_dict, prefix, *_) -> None:
    for name, _parameter in module.base_layer.named_parameters():
        if prefix + name in state_dict:
            state_dict[prefix + WRAPPED + name] = state_dict.pop(prefix + name)


def _houlsby(part: Part, size: int) -> None:
    add_bottlenecks(part, size, after_attention=True)


def _pfeiffer(part: Part, size: int) -> None:
    add_bottlenecks(part, size, after_attention=False)


TYPES = {"houlsby": _houlsby, "pfeiffer": _pfeiffer, "lora": add_lora}


def add_adapters(model: torch.nn.Module, adapters: dict[str, dict[str, Any]]) -> None:
    """Add adapters to a model; its output does not change at first.

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


def _checked(name: str, conf: Any) -> dict[str, Any]:
    """Return a checked copy of the options of one part."""
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
    alpha = conf.get("alpha")
    if alpha is not None and not alpha > 0:
        raise ValueError(
            f"adapters: {name}: alpha is {alpha}; LoRA has an effect above 0 only"
        )
    targets = conf.get("targets")
    if isinstance(targets, str) or targets == []:
        raise ValueError(
            f"adapters: {name}: targets is {targets!r}, not a list as [q_proj, v_proj]"
        )
    return dict(conf)


def check_quantize(device: str, dtype: str) -> None:
    """Raise a ValueError unless a model on a device may be quantized."""
    if device != "cpu" or dtype != "float32":
        raise ValueError(
            f"quantize: true is for device cpu and dtype float32, not {device} and "
            f"{dtype}; on a GPU use dtype bfloat16"
        )


def quantize_linear(model: torch.nn.Module) -> None:
    """Quantize the linear layers of encoder and decoder to int8, in place.

    Weights are int8 with one scale a layer; the inputs of each call get the scale of
    their own range (torch's dynamic quantization). LoRA is merged into the weights
    before. Embeddings, norms and convolutions stay as they are, and so do linear layers
    whose weights are read without calling them (WavLM's attention).

    Args:
        model: Translation model or student, float32, on the CPU.
    """
    from torch.ao.quantization import quantize_dynamic

    merge_lora(model)
    uncallable: set[str] = set()
    for part in filter(None, (find_part(model, name) for name in PARTS)):
        uncallable.update(part.family.not_lora)
    owners = tuple(f"{name}." for names in PARTS.values() for name in names)
    names = {
        name
        for name, module in model.named_modules()
        if type(module) is torch.nn.Linear
        and name.startswith(owners)
        and not (name.startswith("frontend.") and name.split(".")[-1] in uncallable)
    }
    with warnings.catch_warnings():
        # That torchao is to follow it; torch itself has no other.
        warnings.simplefilter("ignore", DeprecationWarning)
        quantize_dynamic(model, names, dtype=torch.qint8, inplace=True)
