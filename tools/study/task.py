"""One piece of work of a study: commands that make one thing, in turn."""

import dataclasses
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Command:
    """A command line and what it is part of."""

    step: str
    """Name under which its time is counted."""
    words: tuple[str, ...]
    """The command and its arguments."""


@dataclasses.dataclass(frozen=True)
class Task:
    """Commands and what they need."""

    name: str
    """Unique name, e.g. students/all/seed1; its log has it, too."""
    commands: tuple[Command, ...]
    """What is run, in turn, until one fails."""
    needs: tuple[str, ...] = ()
    """Tasks that have to be finished before."""
    before: Callable[[], None] = lambda: None
    """Called before the commands."""
    after: Callable[[str | None], None] = lambda error: None
    """Called in the end, with what went wrong or None; not when it was stopped."""
