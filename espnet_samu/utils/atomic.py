"""Atomic outputs: complete or absent, and never in place of someone else's files."""

import contextlib
import errno
import glob
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

MADE_BY = ".made_by"
"""File in a folder that names the command that made it, which may replace it."""

_DAY = 24 * 3600  # seconds
# bytes; a disk with less room is full
_FULL = 2**16


def temporary_name(path: Path) -> Path:
    """Return a hidden name of this thread beside `path`, on the same file system."""
    own = f"{socket.gethostname()}-{os.getpid()}-{threading.get_ident()}"
    return path.with_name(f".{path.name}.tmp-{own}")


def remove_stale(folder: Path, name: str = "*") -> None:
    """Remove the temporaries of processes that were killed.

    A process of this machine is known to be dead; one of another machine is taken to
    be if it has written nothing for a day.

    Args:
        folder: Where they are.
        name: Of the file or folder that they were to become; default is all.
    """
    host = socket.gethostname()
    pattern = name if name == "*" else glob.escape(name)
    for path in folder.glob(f".{pattern}.tmp-*"):
        try:
            machine, pid, _ = path.name.rpartition(".tmp-")[2].rsplit("-", 2)
            dead = time.time() - path.stat().st_mtime > _DAY
            if machine == host:
                os.kill(int(pid), 0)
                dead = False
        except ProcessLookupError:
            dead = True
        except (OSError, ValueError):  # another user's process, or already removed
            continue
        if dead and path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif dead:
            path.unlink(missing_ok=True)


def check_room(folder: str | os.PathLike[str], error: BaseException | None) -> None:
    """Raise an OSError that names the folder, if a full disk caused an error.

    Libraries call a full disk by many names: torch ``unexpected pos 576 vs 534``,
    soundfile ``System error``.

    Raises:
        OSError: No space left on device.
    """
    reason = os.strerror(errno.ENOSPC)
    if isinstance(error, Exception) and (
        reason in str(error) or shutil.disk_usage(folder).free < _FULL
    ):
        raise OSError(errno.ENOSPC, reason, str(folder)) from error


@contextlib.contextmanager
def atomic_write(
    path: str | os.PathLike[str], mode: str = "w", **kwargs: Any
) -> Iterator[IO[Any]]:
    """Open a temporary file; rename it to `path` when the block succeeds.

    Args:
        path: Final name; its folder is made when missing. A link stays one: the file
            that it points to is replaced.
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
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_stale(path.parent, path.name)
    temporary = temporary_name(path)
    try:
        with open(temporary, mode, **kwargs) as f:
            yield f
            f.flush()
            os.fsync(f.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        try:
            check_room(path.parent, error)
        finally:
            temporary.unlink(missing_ok=True)
        raise


class AtomicFolder:
    """Folder that is replaced as a whole when the block succeeds.

    Only an empty folder or one that the same command has made is replaced, which a file
    in it says (``.made_by``). This is checked at once, so that a command can ask before
    its work begins; the context manager gives an empty folder to fill.

    Args:
        path: Final name; its parents are made when missing. A link stays one: the
            folder that it points to is replaced.
        maker: Name of the command.
        inputs: Files and folders that the command reads.

    Raises:
        ValueError: ``path`` is a file, holds what another has made, or holds an input.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        maker: str,
        inputs: Iterable[str | os.PathLike[str]] = (),
    ) -> None:
        self.path = Path(os.path.realpath(path))
        self.maker = maker
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"{path} is a file, but the output is a folder")
        for name in inputs:
            if Path(os.path.realpath(name)).is_relative_to(self.path):
                raise ValueError(
                    f"{path} would be replaced as a whole, but holds an input, {name}; "
                    "name another folder for the output"
                )
        if self.path.is_dir() and any(self.path.iterdir()) and not self._is_own():
            raise ValueError(
                f"{path} is not empty and was not made by {maker}, which would replace "
                "it as a whole; name another folder for the output, or remove this one"
            )
        self._temporary = temporary_name(self.path)
        self._old = self._temporary.with_name(f"{self._temporary.name}.old")

    def _is_own(self) -> bool:
        try:
            made_by = (self.path / MADE_BY).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return False
        return made_by == f"{self.maker}\n"

    def __enter__(self) -> Path:
        """Create the temporary folder."""
        remove_stale(self.path.parent, self.path.name)
        self._temporary.mkdir(parents=True)
        return self._temporary

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Rename the folder, or remove it after an error."""
        try:
            check_room(self.path.parent, error)
            if error is None:
                marker = self._temporary / MADE_BY
                marker.write_text(f"{self.maker}\n", encoding="utf-8")
                # safetensors gives its files to the owner only, whatever the umask.
                for weights in self._temporary.rglob("*.safetensors"):
                    shutil.copymode(marker, weights)
                if self.path.exists():
                    os.replace(self.path, self._old)
                os.replace(self._temporary, self.path)
        finally:
            shutil.rmtree(self._temporary, ignore_errors=True)
            shutil.rmtree(self._old, ignore_errors=True)
