"""Progress, log and exit of our commands: a line for a user's mistake."""

import linecache
import logging
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn, TypeVar

from yaml import YAMLError

from espnet_samu.utils.atomic import check_room

Item = TypeVar("Item")


def progress(
    items: Iterable[Item], total: int | None, name: str, seconds: float = 30.0
) -> Iterator[Item]:
    """Show progress of a loop: a bar on a terminal, lines in a log.

    Args:
        items: What is looped over.
        total: Number of items; None: not known.
        name: Of the items, for the message.
        seconds: Least time between two lines of a log.
    """
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, total=total, unit=f" {name}")
        return
    start = last = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last >= seconds:
            last = now
            count = f"{done}" if total is None else f"{done} of {total}"
            logging.info(f"{count} {name}, {done / (now - start):.1f} a second")


def log_to_stderr(level: str = "INFO") -> None:
    """Log to stderr as ESPnet's commands do."""
    form = "%(asctime)s (%(module)s:%(lineno)d) %(levelname)s: %(message)s"
    logging.basicConfig(level=level, format=form)


_DEBUG = "--debug"


def is_mistake(error: Exception, home: Path) -> bool:
    """Return whether an exception is a user's mistake and not a bug.

    A mistake is a missing, unreadable or unwritable file or module, or what a
    ``raise`` statement of this package, of ESPnet or of a recipe found wrong. The same
    exception out of an expression, or out of another library, is a bug: a check is
    missing.

    Args:
        error: What ended the command.
        home: Folder of the command; a recipe's code is there.
    """
    if isinstance(error, (OSError, ImportError, YAMLError)):
        return True
    frame, line = list(traceback.walk_tb(error.__traceback__))[-1]
    file = frame.f_code.co_filename
    if not linecache.getline(file, line).lstrip().startswith("raise "):
        return False
    package = frame.f_globals.get("__name__", "").partition(".")[0]
    if package == "espnet2":
        return isinstance(error, (ValueError, RuntimeError))
    ours = package == "espnet_samu" or home in Path(file).resolve().parents
    return ours and isinstance(error, ValueError)


def _full_disk(cmd: Sequence[str], error: Exception) -> OSError | None:
    """Return the error of a full disk that stopped a training, and names no folder."""
    if isinstance(error, OSError) and error.filename is not None:
        return None
    for name, folder in zip(cmd, cmd[1:]):
        if name == "--output_dir" and Path(folder).is_dir():
            try:
                check_room(folder, error)
            except OSError as full:
                return full
    return None


def printable(error: Exception) -> str:
    """Return a message with control characters escaped."""
    return "".join(
        c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in str(error)
    )


def run(
    main: Callable[[Sequence[str]], int | None], cmd: Sequence[str] | None = None
) -> NoReturn:
    """Run a command, and exit.

    A user's mistake is printed to stderr as ``Error: ...``, and the exit status is 1.
    With ``--debug``, an option of every command, the traceback is printed, too.

    Args:
        main: The command; returns its exit status, or None for 0.
        cmd: Its arguments; those of the process by default.
    """
    cmd = sys.argv[1:] if cmd is None else cmd
    debug = _DEBUG in cmd
    try:
        status = main([argument for argument in cmd if argument != _DEBUG])
    except Exception as error:
        home = Path(main.__code__.co_filename).resolve().parent
        error = _full_disk(cmd, error) or error
        if not is_mistake(error, home):
            raise
        if debug:
            traceback.print_exception(error)
        # The message of a YAML error has several lines.
        lines = " ".join if isinstance(error, YAMLError) else "\n".join
        print(f"Error: {lines(printable(error).splitlines())}", file=sys.stderr)
        status = 1
    except SystemExit as end:
        if end.code == 0 and {"-h", "--help"} & {*cmd}:
            print(f"  {_DEBUG:<22}Show the traceback of a mistake, too")
        raise
    sys.exit(status or 0)
