"""Helpers for torch modules: masks, types, frozen parts, locks, memory, loading."""

import ctypes
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

import torch

Model = TypeVar("Model", bound=torch.nn.Module)

_M_TRIM_THRESHOLD = -1  # bytes at the heap's end that are not returned; of malloc.h
_M_MMAP_THRESHOLD = -3  # bytes from which on a block is returned as soon as it is free


AUTOCAST_DTYPES = ("float32", "bfloat16", "float16")
"""Types of autocast inside frontend and decoder; ``float32`` is none."""
MODEL_DTYPES = ("float16", "bfloat16", "float32", "float64")
"""Types of a whole model in inference."""


def parse_dtype(option: str, name: str, allowed: Sequence[str]) -> torch.dtype:
    """Return the torch type that an option names.

    Raises:
        ValueError: It is not one of those allowed.
    """
    if name not in allowed:
        raise ValueError(f"{option} '{name}' is not one of {', '.join(allowed)}")
    return getattr(torch, name)


def waveform_dtype(model: torch.nn.Module, dtype: torch.dtype) -> torch.dtype:
    """Return the type of the waveforms that a model of a dtype reads.

    Our frontend computes its features in float32 (class attribute ``input_dtype``),
    whatever the model's type: waveforms in bfloat16 have noise at -50 dB, louder than
    the high frequencies of speech. ESPnet's frontends read the model's type.

    Args:
        model: Translation model or student.
        dtype: Of its parameters.
    """
    return getattr(getattr(model, "frontend", None), "input_dtype", dtype)


def without_autocast(model: Model) -> Model:
    """Disable the autocast of frontend and decoder, for a model of one dtype.

    Args:
        model: The model; changed.

    Returns:
        The same.
    """
    for name in ("frontend", "decoder"):
        part: Any = getattr(model, name, None)
        if isinstance(getattr(part, "dtype", None), torch.dtype):
            part.dtype = torch.float32
    return model


def keep_freed_memory() -> None:
    """Let this process keep memory that was freed, for the next batch.

    The C library returns large tensors to the kernel, which hands out pages of zeros
    again, one by one: a fifth of a small model's update on a CPU. Without effect where
    the library is not glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    # Older glibc takes no more than 32 MB for the second and answers 0.
    if mallopt and any(mallopt(_M_MMAP_THRESHOLD, size) for size in (2**30, 2**25)):
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def at_least_float32(tensor: torch.Tensor) -> torch.Tensor:
    """Return half precision as float32, other types unchanged.

    Args:
        tensor: What is added up many times.
    """
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


class CallLock:
    """Lock around calls of modules that keep something of a batch.

    A deep copy of the model has a lock of its own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *error: Any) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[type["CallLock"], tuple[()]]:
        return CallLock, ()


def encoder_lock(model: torch.nn.Module) -> AbstractContextManager[None]:
    """Return the lock around a model's encoder.

    Our frontends and encoders keep nothing of a batch on their modules (class attribute
    ``keeps_batch_state``), so that threads compute side by side. ESPnet's may: its
    relative positions are those of the longest batch so far.

    Args:
        model: Translation model or student.
    """
    names = ("frontend", "preencoder", "encoder", "postencoder")
    parts = [getattr(model, name, None) for name in names]
    if any(p is not None and getattr(p, "keeps_batch_state", True) for p in parts):
        return CallLock()
    return nullcontext()


def valid_mask(lengths: torch.Tensor, size: int) -> torch.Tensor:
    """Return the padding mask in the form of transformers' ``attention_mask``.

    Args:
        lengths: Samples, frames or tokens (B,).
        size: Length N of the padded axis.

    Returns:
        1 for valid positions, 0 for padding: (B, N), int64.
    """
    return (torch.arange(size, device=lengths.device) < lengths[:, None]).long()


# What peft puts between a layer and its pre-trained weight.
WRAPPED = "base_layer."


def mark_adapter(module: torch.nn.Module) -> None:
    """Mark a module as part of an adapter."""
    setattr(module, "is_adapter", True)


def is_adapter(module: torch.nn.Module) -> bool:
    """Return whether a module is marked as part of an adapter."""
    return getattr(module, "is_adapter", False)


def has_adapters(module: torch.nn.Module) -> bool:
    """Return whether a module contains adapters."""
    return any(is_adapter(m) for m in module.modules())


def outside_adapters(
    module: torch.nn.Module, prefix: str = ""
) -> Iterator[tuple[str, torch.nn.Parameter]]:
    """Return the parameters outside adapters, by state-dict name.

    Args:
        module: May be an adapter itself: then all of its parameters.
        prefix: Put before the names.
    """
    for name, parameter in module._parameters.items():
        if parameter is not None:
            yield prefix + name, parameter
    for name, child in module.named_children():
        if not is_adapter(child):
            below = f"{name}." if f"{name}." != WRAPPED else ""
            yield from outside_adapters(child, prefix + below)


def adapter_keys(module: torch.nn.Module) -> set[str]:
    """Return the state-dict keys of adapters."""
    inside = [f"{name}." for name, child in module.named_modules() if is_adapter(child)]
    return {key for key in module.state_dict() if key.startswith(tuple(inside))}


def eval_frozen(module: torch.nn.Module) -> None:
    """Set eval mode for submodules whose parameters are all frozen.

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
    """Set training mode for adapters; return whether any is trained."""
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


_loading = threading.RLock()


@contextmanager
def host_settings_kept() -> Iterator[None]:
    """Build a model without traces in the process, in a with block.

    * Its random initial weights draw no number of the process's generator.
    * Its weights are float32, also if the process has another default dtype.
    * ``logging.info`` adds a handler to a root logger without one: that of Python's
      own warnings stands there meanwhile.

    Threads that load models wait for each other. The default dtype is torch's alone:
    if it is not float32, tensors that other threads make meanwhile are.
    """
    root, last = logging.getLogger(), logging.lastResort
    with _loading, torch.random.fork_rng(devices=[]):
        dtype = torch.get_default_dtype()
        added = None if root.handlers else last
        if added is not None:
            root.addHandler(added)
        if dtype != torch.float32:
            torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            if dtype != torch.float32:
                torch.set_default_dtype(dtype)
            if added is not None:
                root.removeHandler(added)
