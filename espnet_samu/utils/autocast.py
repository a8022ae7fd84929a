"""Types that numbers are computed in."""

import torch


def without_autocast(model: torch.nn.Module) -> torch.nn.Module:
    """Switch the autocast of frontend and decoder off, for a model of one type.

    Args:
        model: The model; changed.

    Returns:
        The same.
    """
    for name in ("frontend", "decoder"):
        part = getattr(model, name, None)
        if isinstance(getattr(part, "dtype", None), torch.dtype):
            part.dtype = torch.float32
    return model


def at_least_float32(tensor: torch.Tensor) -> torch.Tensor:
    """Return half precision as float32, and what is more precise as it is.

    Args:
        tensor: What is added up many times.
    """
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
