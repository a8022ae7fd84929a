"""One line of the results: a language, or a mean over languages."""

import dataclasses
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

METRICS = (
    "bleu",
    "chrf",
    "ter",
    "comet",
    "exact_match",
    "slot_accuracy",
    "r1",
    "length_ratio",
)


@dataclasses.dataclass(frozen=True)
class ScoreRow:
    """Scores of one system on one translation direction or a set of them."""

    name: str
    """Language, direction, group, or the name of a mean."""
    utterances: int
    """Number of utterances."""
    empty: int
    """Number of hypotheses without a word among them."""
    values: Mapping[str, float | None]
    """Value of each of `METRICS`; None where it is not known."""
    signatures: Mapping[str, str]
    """Settings of the metrics; empty for a mean."""
    members: tuple[str, ...] = ()
    """Rows that a mean is taken over, each with the same weight."""

    @classmethod
    def mean(cls, name: str, rows: Sequence["ScoreRow"]) -> "ScoreRow":
        """Return the macro-average of rows; a metric must be known in all of them.

        Args:
            name: Name of the mean.
            rows: At least one row.
        """
        values: dict[str, float | None] = {}
        for metric in METRICS:
            known = [v for row in rows if (v := row.values[metric]) is not None]
            values[metric] = fmean(known) if len(known) == len(rows) else None
        return cls(
            name=name,
            utterances=sum(row.utterances for row in rows),
            empty=sum(row.empty for row in rows),
            values=values,
            signatures={},
            members=tuple(row.name for row in rows),
        )

    @classmethod
    def from_dict(cls, name: str, table: Mapping[str, Any]) -> "ScoreRow":
        """Return the row that `to_dict` made a table of.

        Args:
            name: Name of the row.
            table: Its table.
        """
        return cls(
            name=name,
            utterances=table["utterances"],
            empty=table.get("empty_hypotheses", 0),
            values={metric: table.get(metric) for metric in METRICS},
            signatures=table.get("signatures", {}),
            members=tuple(table.get("mean_of", ())),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything but empty fields, for JSON."""
        table: dict[str, Any] = {
            "utterances": self.utterances,
            "empty_hypotheses": self.empty,
            **self.values,
        }
        if self.signatures:
            table["signatures"] = dict(self.signatures)
        if self.members:
            table["mean_of"] = list(self.members)
        return table
