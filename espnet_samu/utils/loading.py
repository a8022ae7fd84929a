"""Loading of models in somebody else's process."""

import contextlib
import logging
import threading
from collections.abc import Iterator

import torch

_lock = threading.RLock()


@contextlib.contextmanager
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
    with _lock, torch.random.fork_rng(devices=[]):
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
