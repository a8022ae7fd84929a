"""Scores that the report shows: our systems, published ones, and means."""

import dataclasses
import json
import os
import re
from collections.abc import Mapping, Sequence
from statistics import fmean

from espnet_samu.scoring.significance import Significance
from espnet_samu.scoring.system_result import SystemResult
from espnet_samu.scoring.tokenizers import base_language
from espnet_samu.scoring.transfer_gap import transfer_gap


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


@dataclasses.dataclass(frozen=True)
class Results:
    """The content of results.json."""

    systems: tuple[SystemResult, ...]
    """Scored systems, at least one, of the same directions."""
    train_langs: tuple[str, ...] | None
    """Source languages with translations in training."""
    groups: Mapping[str, str]
    """Resource group of every language; empty without groups."""
    notes: Mapping[str, str]
    """What was noted about the run."""
    significance: Significance | None
    """Tests against a baseline."""
    command: str
    """Command line that made the scores; "" where it is not known."""

    def directions(self) -> list[str]:
        """Return the names of the directions."""
        return [row.name for row in self.systems[0].directions]

    def panels(self) -> dict[str, list[str]]:
        """Return directions by resource group, else supervised and zero-shot."""
        first = self.systems[0]
        wanted = dict.fromkeys(self.groups.values()) or ("supervised", "zero-shot")
        by_name = {row.name: [*row.members] for row in first.means}
        return {name: by_name[name] for name in wanted if name in by_name} or {
            "all": self.directions()
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
    """Directions that each mean is taken over."""
    scores: Mapping[str, Mapping[str, float]]
    """Mean BLEU by system, ours first, and name of the mean; some may lack."""
    gaps: Mapping[str, float | None]
    """TRFGap by system."""

    @property
    def names(self) -> list[str]:
        """Names of the means, those that some system has."""
        return [*self.members]

    def of(self, system: str) -> Mapping[str, float]:
        """Return the means of a system by name."""
        return self.scores[system]


def _is_whole(
    name: str,
    directions: Sequence[str],
    groups: Mapping[str, str],
    published: PublishedSystem,
) -> bool:
    """Return whether a mean of ours is over what the published one is over.

    Args:
        name: Name of the mean.
        directions: Ours is over these.
        groups: Resource group of every language.
        published: The other system.
    """
    langs = [base_language(x) for x, g in groups.items() if name in (g, "average")]
    columns = {base_language(column) for column in published.columns}
    # A table without languages is of all that have a group.
    langs = [lang for lang in langs if lang in columns] or langs
    # Of several directions from one language there is no single column.
    return bool(langs) and sorted(map(base_language, directions)) == sorted(langs)


def collect_means(results: Results, published: Sequence[PublishedSystem]) -> GroupMeans:
    """Collect the means of all systems.

    Args:
        results: What was scored.
        published: Systems to show beside.

    Raises:
        ValueError: For a published system with the name of one of ours.
    """
    members = {row.name: row.members for row in results.systems[0].means}
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
        for name, directions in members.items():
            whole = _is_whole(name, directions, results.groups, one)
            mean = one.mean(name, directions, whole)
            if mean is not None:
                scores[one.name][name] = mean
        gaps[one.name] = transfer_gap(
            {n: v for n, v in scores[one.name].items() if n in results.groups.values()}
        )
    return GroupMeans(members, scores, gaps)
