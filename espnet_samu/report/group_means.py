"""Means of BLEU over the same languages, of our systems and published ones."""

import dataclasses
from collections.abc import Mapping, Sequence

from espnet_samu.report.published import PublishedSystem
from espnet_samu.report.results import Results
from espnet_samu.scoring.tokenizers import base_language
from espnet_samu.scoring.transfer_gap import transfer_gap


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
