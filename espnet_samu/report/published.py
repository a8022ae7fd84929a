"""Published scores to show beside one's own."""

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from statistics import fmean


def _without_regions(name: str) -> str:
    """Return a language or direction without regions: zh-CN -> zh."""
    return re.sub(r"[-_][A-Z]{2}\b", "", name)


@dataclasses.dataclass(frozen=True)
class PublishedSystem:
    """BLEU of a system as it was published."""

    name: str
    """Name of the system."""
    scores: Mapping[str, float]
    """BLEU by column: a language, a direction, a group or `average`."""
    columns: tuple[str, ...] = ()
    """Columns of its table, also those that it has no score in. The languages among
    them, if there are any, are those that the means of the table are over."""

    def find(self, key: str) -> float | None:
        """Return the score of a column; regions of languages make no difference.

        Args:
            key: Language or direction. In a table of directions into one language a
                source language is enough.
        """
        if key in self.scores:
            return self.scores[key]
        plain = {_without_regions(name): value for name, value in self.scores.items()}
        name = _without_regions(key)
        directions = [_without_regions(c).partition("-") for c in self.columns]
        targets = {target for _, dash, target in directions if dash}
        if name not in plain and len(targets) == 1:
            name = f"{name}-{targets.pop()}"
        return plain.get(name)

    def mean(self, name: str, members: Sequence[str], whole: bool) -> float | None:
        """Return a mean over the same languages as ours.

        Args:
            name: Name of the mean.
            members: Languages that ours is taken over.
            whole: Whether these are all languages of the group: only then what was
                published as its mean is the same thing.

        Returns:
            The published mean, or the mean of the published scores; None where the
            languages would not be the same.
        """
        if whole and name in self.scores:
            return self.scores[name]
        found = [self.find(member) for member in members]
        known = [score for score in found if score is not None]
        return fmean(known) if known and len(known) == len(members) else None


def read_published(path: str | os.PathLike[str]) -> list[PublishedSystem]:
    """Read published scores from a TSV file.

    Its first line is `system`, then languages (or directions, groups, `average`);
    every other line is a system. `-` or nothing where no score was published. Means
    are over the languages that have a column. Lines that start with `#` and empty ones
    are skipped.

    Args:
        path: File in UTF-8.

    Raises:
        ValueError: Naming file and line, for another first line, a repeated column or
            system, a wrong number of columns, and what is no number.
    """
    columns: list[str] = []
    systems: dict[str, PublishedSystem] = {}
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            if not line.strip() or line.startswith("#"):
                continue
            fields = [field.strip() for field in line.rstrip("\r\n").split("\t")]
            if not columns:
                if fields[0] != "system" or len(set(fields)) < max(2, len(fields)):
                    raise ValueError(
                        f"{path}:{number}: first line must be `system`, then different "
                        f"languages, with tabs: {fields}"
                    )
                columns = fields[1:]
                continue
            if len(fields) != len(columns) + 1:
                raise ValueError(
                    f"{path}:{number}: need {len(columns) + 1} columns: {len(fields)}"
                )
            name, scores = fields[0], {}
            if not name or name in systems:
                raise ValueError(
                    f"{path}:{number}: need a system's name, once: '{name}'"
                )
            for column, field in zip(columns, fields[1:]):
                if field in ("", "-"):
                    continue
                try:
                    scores[column] = float(field)
                except ValueError:
                    raise ValueError(
                        f"{path}:{number}: {column} must be a number or -: '{field}'"
                    ) from None
            systems[name] = PublishedSystem(name, scores, tuple(columns))
    if not systems:
        raise ValueError(f"{path}: no system in the file")
    return [*systems.values()]
