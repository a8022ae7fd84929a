"""One translated utterance of a run."""

import dataclasses
from collections.abc import Mapping
from typing import Any

_TYPES = {
    "id": str,
    "lang": str,
    "ref": str,
    "hyp": str,
    "exact": int,
    "slots_right": int,
    "slots": int,
}


@dataclasses.dataclass(frozen=True)
class RunUtterance:
    """What was said, what came out, and how much of it is right."""

    id: str
    """Utterance id."""
    lang: str
    """Source language."""
    ref: str
    """Reference translation."""
    hyp: str
    """Translation; "" for an empty one."""
    exact: int
    """1 where they are equal but for blanks, else 0."""
    slots_right: int
    """Slot words of the reference that the translation has, in order."""
    slots: int
    """Slot words of the reference."""

    @classmethod
    def from_dict(cls, table: Any) -> "RunUtterance":
        """Return the utterance that `to_dict` made a table of.

        Args:
            table: Value of every field.

        Raises:
            ValueError: Naming the field that is missing, not known, or wrong.
        """
        if not isinstance(table, Mapping) or set(table) != set(_TYPES):
            raise ValueError(f"an utterance has the fields {[*_TYPES]}: {table!r}")
        for name, kind in _TYPES.items():
            if type(table[name]) is not kind:
                raise ValueError(
                    f"{name} of an utterance must be {kind.__name__}: {table[name]!r}"
                )
        if table["exact"] not in (0, 1):
            raise ValueError(f"exact must be 0 or 1: {table['exact']}")
        if not 0 <= table["slots_right"] <= table["slots"]:
            raise ValueError(
                f"slots_right must be 0 to slots ({table['slots']}): "
                f"{table['slots_right']}"
            )
        return cls(**table)

    def to_dict(self) -> dict[str, str | int]:
        """Return the value of every field."""
        return dataclasses.asdict(self)
