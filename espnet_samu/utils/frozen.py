"""Parameters that are not trained."""

import torch

from espnet_samu.layers.adapter_mark import is_adapter, outside_adapters


def eval_frozen(module: torch.nn.Module) -> None:
    """Put every part of a module whose parameters are all frozen in eval mode.

    Call it after ``module.train()``. ESPnet's trainer calls ``model.train()`` every
    epoch, so that a part frozen by ``freeze_param`` would still drop out, mask and
    skip layers.

    Adapters that are trained are in training mode, also inside a part that is not:
    no dropout, masking or LayerDrop of the pre-trained model around them.

    Args:
        module: Parts without parameters (dropout) follow the part they are in.
    """
    parameters = [parameter for _, parameter in outside_adapters(module)]
    if parameters and not any(p.requires_grad for p in parameters):
        module.eval()
        _train_adapters(module)
        return
    for child in module.children():
        eval_frozen(child)


def _train_adapters(module: torch.nn.Module) -> bool:
    """Put the adapters in a module in training mode; whether any is trained."""
    pieces = [child for child in module.children() if is_adapter(child)]
    # Of all pieces: LoRA's dropout has no parameters.
    trained = any(p.requires_grad for piece in pieces for p in piece.parameters())
    if trained:
        for piece in pieces:
            piece.train()
    below = [
        _train_adapters(child) for child in module.children() if not is_adapter(child)
    ]
    trained = trained or any(below)
    if trained and _is_checkpointed(module):
        # transformers computes a layer once more only in training mode. Its parts
        # stay in eval mode.
        module.training = True
    return trained


def _is_checkpointed(module: torch.nn.Module) -> bool:
    if not getattr(module, "gradient_checkpointing", False):
        return False
    from transformers.modeling_layers import GradientCheckpointingLayer

    return isinstance(module, GradientCheckpointingLayer)
