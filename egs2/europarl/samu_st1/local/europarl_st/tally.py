"""What became of the segments of a set."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from europarl_st.segment import Segment


@dataclass
class Tally:
    """Counts of one data directory, and its segments that were not taken as they are.

    Attributes:
        name: Of the data directory.
        seen: Segments of the corpus that were looked at.
        kept: Segments in the data directory.
        milliseconds: Of the kept ones.
        reasons: Number of segments by reason, dropped and changed ones.
        listed: Action (dropped, changed), reason, segment.
    """

    name: str
    seen: int = 0
    kept: int = 0
    milliseconds: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    listed: list[tuple[str, str, Segment]] = field(default_factory=list)

    @property
    def hours(self) -> float:
        """Of the kept segments."""
        return self.milliseconds / 3_600_000

    def keep(self, segment: Segment) -> None:
        """Count a segment of the data directory."""
        start, end = segment.audio or (segment.start, segment.end)
        self.kept += 1
        self.milliseconds += end - start

    def change(self, segment: Segment, reason: str) -> None:
        """Count and list a segment that is kept with other times."""
        self.reasons[reason] += 1
        self.listed.append(("changed", reason, segment))

    def drop(self, segment: Segment, reason: str) -> None:
        """Count and list a segment that is left out."""
        self.reasons[reason] += 1
        self.listed.append(("dropped", reason, segment))

    def merge(self, reason: str) -> None:
        """Count a segment that the set has already: that is no fault to list."""
        self.reasons[reason] += 1
