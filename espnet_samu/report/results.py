"""Scores that the report shows: our systems, published ones, and means."""

import dataclasses
import json
import logging
import math
import os
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TypeVar

from espnet_samu.scoring.directions import Direction, Pair, find_entry, parse_pair
from espnet_samu.scoring.significance import TEST, Significance
from espnet_samu.scoring.system_result import SystemResult
from espnet_samu.scoring.transfer_gap import transfer_gap

T = TypeVar("T")


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

    def find(self, direction: Direction) -> float | None:
        """Return the score of a direction; regions of languages make no difference.

        Args:
            direction: Its target language must be that of a column that is a direction.
                A column that is a language is taken to be from it into our target.
        """
        return find_entry(
            direction.source,
            direction.target,
            _by_pair(self.scores, direction),
            f"--published, {self.name}",
        )

    def mean(
        self, name: str, members: Sequence[Direction], whole: bool
    ) -> float | None:
        """Return a mean over the same languages as ours.

        Args:
            name: Name of the mean.
            members: Directions that ours is taken over.
            whole: Whether these are all languages of the group: only then what was
                published as its mean is the same thing.

        Returns:
            The published mean, or the mean of the published scores; None where the
            languages would not be the same.
        """
        means = {column.casefold(): value for column, value in self.scores.items()}
        if whole and name.casefold() in means:
            return means[name.casefold()]
        found = [self.find(member) for member in members]
        known = [score for score in found if score is not None]
        return fmean(known) if known and len(known) == len(members) else None


def _by_pair(columns: Mapping[str, T], direction: Direction) -> dict[Pair, T]:
    """Return the columns of a table by the directions or languages that they name."""
    known = [direction.source]
    return {parse_pair(name, known): value for name, value in columns.items()}


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
    with open(path, encoding="utf-8-sig") as f:
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
                    if not math.isfinite(scores[column]):
                        raise ValueError
                except ValueError:
                    raise ValueError(
                        f"{path}:{number}: {column} must be a number or -: '{field}'"
                    ) from None
            systems[name] = PublishedSystem(name, scores, tuple(columns))
    if not systems:
        raise ValueError(f"{path}: no system in the file")
    return [*systems.values()]


@dataclasses.dataclass(frozen=True)
class Results:
    """The content of results.json."""

    systems: tuple[SystemResult, ...]
    """Scored systems, at least one, of the same directions."""
    train_langs: tuple[str, ...] | None
    """Source languages or directions with translations in training."""
    groups: Mapping[str, str]
    """Resource group of every language or direction; empty without groups."""
    notes: Mapping[str, str]
    """What was noted about the run."""
    significance: Significance | None
    """Tests against a baseline."""
    command: str
    """Command line that made the scores; "" where it is not known."""

    def directions(self) -> dict[str, Direction]:
        """Return the directions by name."""
        return {row.name: row.direction for row in self.systems[0].directions}

    def panels(self) -> dict[str, list[str]]:
        """Return directions by resource group, else supervised and zero-shot."""
        first = self.systems[0]
        wanted = dict.fromkeys(self.groups.values()) or ("supervised", "zero-shot")
        by_name = {row.name: [*row.members] for row in first.means}
        return {name: by_name[name] for name in wanted if name in by_name} or {
            "all": [*self.directions()]
        }


def read_results(path: str | os.PathLike[str]) -> Results:
    """Read results.json of score_st.

    Args:
        path: The file.

    Raises:
        ValueError: For a file that score_st did not write.
    """
    with open(path, encoding="utf-8") as f:
        try:
            content = json.load(f)
            systems = tuple(
                SystemResult.from_dict(name, table)
                for name, table in content["systems"].items()
            )
            tests = content.get("significance")
            if tests is not None and tests.get("test") != TEST:
                logging.warning(
                    f"{path}: tests of an earlier version, which are one-sided, are "
                    "left out: score again"
                )
                tests = None
            langs = content["train_langs"]
            results = Results(
                systems=systems,
                train_langs=None if langs is None else tuple(langs),
                groups=content.get("groups") or {},
                notes=content["notes"],
                significance=None if tests is None else Significance.from_dict(tests),
                command=content.get("command", ""),
            )
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as e:
            raise ValueError(f"{path}: not a results.json of score_st: {e!r}") from None
    if not systems:
        raise ValueError(f"{path}: no system in the file")
    return results


@dataclasses.dataclass(frozen=True)
class GroupMeans:
    """Means of several systems."""

    members: Mapping[str, tuple[str, ...]]
    """Directions that each mean is taken over, by its name."""
    scores: Mapping[str, Mapping[str, float]]
    """Mean BLEU by system, ours first, and name of the mean; some may lack."""
    gaps: Mapping[str, float | None]
    """TRFGap by system."""


def _is_whole(
    name: str,
    directions: Sequence[Direction],
    groups: Mapping[str, str],
    published: PublishedSystem,
) -> bool:
    """Return whether a mean of ours is over what the published one is over.

    Args:
        name: Name of the mean.
        directions: Ours is over these.
        groups: Resource group of every language or direction.
        published: The other system.
    """
    known = [one.source for one in directions]
    wanted = [parse_pair(x, known) for x, g in groups.items() if name in (g, "average")]
    columns = [
        pair
        for pair in (parse_pair(column, known) for column in published.columns)
        if find_entry(*pair, dict.fromkeys(wanted, True), "--groups")
    ]
    # A table without languages is of all that have a group.
    wanted = columns or wanted
    # Of several directions from one language there is no single column.
    return len(wanted) == len(directions) > 0 and all(
        find_entry(one.source, one.target, {pair: True for pair in wanted}, "")
        for one in directions
    )


def collect_means(results: Results, published: Sequence[PublishedSystem]) -> GroupMeans:
    """Collect the means of all systems.

    Args:
        results: What was scored.
        published: Systems to show beside.

    Raises:
        ValueError: For a published system with the name of one of ours.
    """
    members = {row.name: row.members for row in results.systems[0].means}
    directions = results.directions()
    scores: dict[str, dict[str, float]] = {}
    gaps: dict[str, float | None] = {}
    for system in results.systems:
        values = {row.name: row.values["bleu"] for row in system.means}
        scores[system.name] = {n: v for n, v in values.items() if v is not None}
        gaps[system.name] = system.trf_gap
    for one in published:
        if one.name in scores:
            raise ValueError(f"--published has a system of ours: '{one.name}'")
        scores[one.name] = {}
        for name, keys in members.items():
            over = [directions[key] for key in keys]
            whole = _is_whole(name, over, results.groups, one)
            mean = one.mean(name, over, whole)
            if mean is not None:
                scores[one.name][name] = mean
        gaps[one.name] = transfer_gap(
            {n: v for n, v in scores[one.name].items() if n in results.groups.values()}
        )
    return GroupMeans(members, scores, gaps)
