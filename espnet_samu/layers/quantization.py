"""Linear layers with int8 weights, for decoding on the CPU."""

import warnings

import torch

from espnet_samu.layers.adapters import merge_lora
from espnet_samu.layers.parts import PARTS, find_part


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
