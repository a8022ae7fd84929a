"""One call of a model at a time."""

import threading
from typing import Any, Dict


class CallLock:
    """A lock around the calls of a model that keeps a batch's lengths and languages.

    A deep copy of the model has a lock of its own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *error: Any) -> None:
        self._lock.release()

    def __deepcopy__(self, memo: Dict[int, Any]) -> "CallLock":
        return CallLock()
