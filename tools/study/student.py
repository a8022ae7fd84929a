"""A speech encoder that translation starts from; arms may share one."""

import dataclasses

from study.data_change import DataChange
from study.step import Step

KINDS = ("distillation", "ctc")


@dataclasses.dataclass(frozen=True)
class Student:
    """How an encoder is trained before translation."""

    name: str
    """Name of the variant."""
    kind: str
    """How it is trained: distillation, or ctc on the transcripts."""
    step: Step
    """Its training."""
    data: DataChange = DataChange()
    """Its transcribed speech, where it is not all of it."""

    def __post_init__(self) -> None:
        """Check the kind.

        Raises:
            ValueError: It is not known.
        """
        if self.kind not in KINDS:
            raise ValueError(f"kind of a student must be one of {KINDS}: '{self.kind}'")
