"""One arm of a study."""

import dataclasses

from study.step import Step
from study.student import Student


@dataclasses.dataclass(frozen=True)
class Arm:
    """What is compared with what."""

    name: str
    """Name of the arm."""
    letter: str
    """Letter in the study's plan."""
    what: str
    """One line for readers."""
    seeds: tuple[int, ...]
    """Seeds that it is run with."""
    student: Student | None
    """Encoder that translation starts from; None: a fresh one."""
    translation: Step
    """Training of the translation model."""
    frozen: bool
    """Whether translation leaves the student's encoder as it is."""
    primary: bool = False
    """Whether a comparison that counts has it."""
    replication: tuple[int, ...] = ()
    """Further seeds, registered later, that are compared by themselves."""
