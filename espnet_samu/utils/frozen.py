"""Parameters that are not trained."""

import torch


def eval_frozen(module: torch.nn.Module) -> None:
    """Put every part of a module whose parameters are all frozen in eval mode.

    Call it after ``module.train()``. ESPnet's trainer calls ``model.train()`` every
    epoch, so that a part frozen by ``freeze_param`` would still drop out, mask and
    skip layers.

    Args:
        module: Parts without parameters (dropout) follow the part they are in.
    """
    parameters = list(module.parameters())
    if parameters and not any(p.requires_grad for p in parameters):
        module.eval()
        return
    for child in module.children():
        eval_frozen(child)
