"""What score_st wrote, read again."""

import dataclasses
import json
import os
from collections.abc import Mapping

from espnet_samu.scoring.significance import Significance
from espnet_samu.scoring.system_result import SystemResult


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
