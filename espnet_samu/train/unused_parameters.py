"""Parameters that are trained, but not in every update."""

from typing import Any

import torch

from espnet_samu.layers.adapter_mark import outside_adapters


def has_unused_parameters(model: torch.nn.Module) -> bool:
    """Whether some updates leave some of the trained parameters without a gradient.

    DistributedDataParallel has to be told so (ESPnet's ``unused_parameters``): else
    it stops in the second update. So do

    * an encoder that the first updates leave alone (``freeze_encoder_updates``);
    * LayerDrop, in transformers' models and in ESPnet's encoders;
    * the vector that takes the place of masked frames, where none is masked
      (``mask_feature_prob`` without ``mask_time_prob``).

    Args:
        model: Of ESPnet; what is frozen says so already.
    """
    if getattr(model, "freeze_encoder_updates", 0) > 0:
        return True
    return any(_drops_layers(m) or _masks_nothing(m) for m in model.modules())


def _drops_layers(module: torch.nn.Module) -> bool:
    """Whether this is a stack of trained layers with LayerDrop."""
    if hasattr(module, "layers"):
        rate = getattr(module, "layerdrop", _field(module, "layerdrop", 0.0))
    else:
        rate = getattr(module, "layer_drop_rate", 0.0)
    # Frozen layers around adapters are in eval mode.
    return rate > 0 and any(p.requires_grad for _, p in outside_adapters(module))


def _masks_nothing(module: torch.nn.Module) -> bool:
    """Whether this has a trained vector for masked frames, and masks none."""
    vector = module._parameters.get("masked_spec_embed")
    if vector is None or not vector.requires_grad:
        return False
    return not (
        _field(module, "apply_spec_augment", True)
        and _field(module, "mask_time_prob", 0.0) > 0
    )


def _field(module: torch.nn.Module, name: str, default: Any) -> Any:
    """Of the configuration of transformers that a module has."""
    return getattr(getattr(module, "config", None), name, default)
