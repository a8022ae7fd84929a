"""A test set: which utterances it has, and which of them say the same."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from study.run_utterance import RunUtterance
from study.sufficient_statistics import COLUMNS, segment_statistics


@dataclasses.dataclass(frozen=True)
class StudySet:
    """The utterances of a test set by content.

    What is resampled is contents, not utterances: where languages share a content, one
    that is easy in one language tends to be easy in another one.
    """

    name: str
    """Name of the set."""
    refs: Mapping[str, str]
    """Reference of every utterance."""
    rows: Mapping[str, Mapping[str, int]]
    """By language: number of its content, of every utterance."""
    size: int
    """Number of contents N."""

    @classmethod
    def from_utterances(
        cls, name: str, utterances: Sequence[RunUtterance]
    ) -> "StudySet":
        """Number the contents: equal references, occurrence by occurrence.

        Args:
            name: Name of the set.
            utterances: All of its utterances.
        """
        numbers: dict[tuple[str, int], int] = {}
        seen: Counter[tuple[str, str]] = Counter()
        rows: dict[str, dict[str, int]] = {}
        for utt in sorted(utterances, key=lambda utt: utt.id):
            key = (utt.ref, seen[utt.lang, utt.ref])
            seen[utt.lang, utt.ref] += 1
            number = numbers.setdefault(key, len(numbers))
            rows.setdefault(utt.lang, {})[utt.id] = number
        refs = {utt.id: utt.ref for utt in utterances}
        return cls(name, refs, dict(sorted(rows.items())), len(numbers))

    def statistics(
        self, utterances: Sequence[RunUtterance], label: str
    ) -> dict[str, np.ndarray]:
        """Return the statistics of every content, by language.

        Args:
            utterances: The utterances of this set, as some system translated them.
            label: What they are, for messages.

        Returns:
            Arrays (N, `COLUMNS`); zeros for contents that a language does not have.

        Raises:
            ValueError: For other utterances, languages or references than the set has.
        """
        found = {utt.id: (utt.lang, utt.ref) for utt in utterances}
        wanted = {
            utt: (lang, self.refs[utt])
            for lang, numbers in self.rows.items()
            for utt in numbers
        }
        if found != wanted:
            odd = [u for u in {**wanted, **found} if found.get(u) != wanted.get(u)]
            raise ValueError(
                f"{label}: utterances, languages and references of '{self.name}' must "
                f"be those of the other runs, {len(odd)} are not, e.g. '{odd[0]}': "
                f"{found.get(odd[0])} instead of {wanted.get(odd[0])}"
            )
        tables = {}
        for lang, numbers in self.rows.items():
            members = [utt for utt in utterances if utt.lang == lang]
            table = np.zeros((self.size, COLUMNS))
            table[[numbers[utt.id] for utt in members]] = segment_statistics(members)
            tables[lang] = table
        return tables
