"""Outputs that exist completely or not at all."""

import contextlib
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any


def _temporary_name(path: Path) -> Path:
    """Return a hidden name of this thread beside `path`, on the same file system."""
    own = f"{os.getpid()}-{threading.get_ident()}"
    return path.with_name(f".{path.name}.tmp{own}")


@contextlib.contextmanager
def atomic_write(
    path: str | os.PathLike[str], mode: str = "w", **kwargs: Any
) -> Iterator[IO[Any]]:
    """Open a temporary file that takes the name `path` when the block ends well.

    Args:
        path: Final name; its folder is made when missing.
        mode: "w" (UTF-8, `\\n` line ends) or "wb".
        **kwargs: Further arguments of `open`.

    Yields:
        The open temporary file.

    Raises:
        ValueError: For another mode.
    """
    if mode not in ("w", "wb"):
        raise ValueError(f"mode must be 'w' or 'wb': {mode!r}")
    if mode == "w":
        kwargs = {"encoding": "utf-8", "newline": "\n", **kwargs}
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_name(path)
    try:
        with open(temporary, mode, **kwargs) as f:
            yield f
            f.flush()
            os.fsync(f.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give an empty folder that replaces `path` when the block ends well.

    Args:
        path: Final name; a folder of that name is replaced as a whole.

    Yields:
        The temporary folder to fill.
    """
    path = Path(path)
    temporary = _temporary_name(path)
    old = path.with_name(f".{path.name}.old{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if path.exists():
            os.replace(path, old)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
