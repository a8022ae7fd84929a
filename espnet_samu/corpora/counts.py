"""Mistakes in a corpus, and counts of its utterances: kept, changed or left out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from espnet_samu.scoring.table import format_table
from espnet_samu.utils.atomic import atomic_write

MOST = 20  # mistakes that are printed
WIDTH = 300  # characters of a message


class CorpusError(ValueError):
    """A mistake in a file of the corpus, with file, line, problem and how to mend it.

    Args:
        path: The file.
        line: Line number, from 1.
        problem: What is wrong.
        mend: What to do about it.
    """

    def __init__(self, path: Path, line: int, problem: str, mend: str) -> None:
        self.line = line
        self.mend = mend
        self.problem = f"{shown(problem)}; {mend}"
        super().__init__(f"{shown(str(path))}:{line}: {self.problem}")


class ManifestErrors(ValueError):
    """All mistakes in a manifest, of which the first of each kind are printed.

    Mistakes of a kind have the same mend.

    Args:
        path: The manifest.
        mistakes: At least one.
    """

    def __init__(self, path: Path, mistakes: Sequence[CorpusError]) -> None:
        self.mistakes = sorted(mistakes, key=lambda mistake: mistake.line)
        before: Counter[str] = Counter()
        ranked = []
        for mistake in self.mistakes:
            ranked.append((before[mistake.mend], mistake))
            before[mistake.mend] += 1
        by_kind = [mistake for _, mistake in sorted(ranked, key=itemgetter(0))]
        by_kind[:MOST] = sorted(by_kind[:MOST], key=lambda mistake: mistake.line)
        title = f"{shown(str(path))}: {len(by_kind)} mistakes:"
        text = listed(title, by_kind)
        super().__init__(text if len(by_kind) > 1 else str(by_kind[0]))


def listed(title: str, mistakes: Sequence[object]) -> str:
    """Return a title, the first mistakes, one a line, and how many more there are."""
    lines = [title, *map(str, mistakes[:MOST])]
    if len(mistakes) > MOST:
        lines.append(f"and {len(mistakes) - MOST} more")
    return "\n    ".join(lines)


def shown(text: str) -> str:
    """Return a text for a terminal: bounded, control characters written out."""
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:WIDTH])
    return text if len(text) < WIDTH else f"{text[:WIDTH]}..."


WHOLE = "-"
"""Split of a set that has none, or of what belongs to no split."""


@dataclass
class SetCounts:
    """Counts of a set, or of one split of it."""

    listed: int = 0
    """Utterances that the corpus has."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Of these, left out: by reason."""
    changed: Counter[str] = field(default_factory=Counter)
    """Of the others, kept in another form than listed: by reason."""
    seconds: float | None = None
    """Speech of what is kept; None: not known."""
    published: int | None = None
    """Utterances as others have counted them."""

    @property
    def kept(self) -> int:
        """Utterances that are used."""
        return self.listed - self.dropped.total()

    @property
    def hours(self) -> float | None:
        """Speech of what is kept."""
        return None if self.seconds is None else self.seconds / 3600

    def describe(self) -> dict[str, Any]:
        """Return what ``counts.json`` says of the set."""
        entry = {"listed": self.listed, "dropped": dict(self.dropped)}
        entry |= {"changed": dict(self.changed)} if self.changed else {}
        entry |= {"hours": self.hours} if self.hours is not None else {}
        return {**entry, "kept": self.kept}


class Fault(NamedTuple):
    """A line of the corpus that is not used as it is."""

    set: str
    split: str
    id: str
    """Of the utterance, as the corpus has it."""
    action: str
    """``dropped``, ``changed``, or ``noted``: it belongs to no set."""
    reason: str
    detail: str
    file: Path
    line: int


class Counts:
    """Counts of all sets of a corpus, and every utterance that is not used as it is."""

    def __init__(self) -> None:
        self.sets: dict[tuple[str, str], SetCounts] = {}
        """By name of the set and split."""
        self.faults: list[Fault] = []
        self.notes: list[str] = []
        """Sentences below the tables."""
        self.details: dict[str, Any] = {}
        """Further entries of ``counts.json``."""

    def of(self, name: str, split: str = WHOLE) -> SetCounts:
        """Return the counts of a set, which are new at first."""
        if (name, split) not in self.sets:
            self.sets[name, split] = SetCounts()
        return self.sets[name, split]

    def drop(
        self,
        name: str,
        split: str,
        utt: str,
        reason: str,
        file: Path,
        line: int,
        detail: str = "",
    ) -> None:
        """Note an utterance that is left out, and the line that lists it."""
        self.of(name, split).dropped[reason] += 1
        fault = Fault(name, split, utt, "dropped", reason, detail, file, line)
        self.faults.append(fault)

    def change(
        self, name: str, split: str, utt: str, reason: str, file: Path, line: int
    ) -> None:
        """Note an utterance that is kept, but not as it is."""
        self.of(name, split).changed[reason] += 1
        fault = Fault(name, split, utt, "changed", reason, "", file, line)
        self.faults.append(fault)

    def note(self, name: str, utt: str, reason: str, file: Path, line: int) -> None:
        """Note what belongs to no split, such as a line that cannot be read."""
        self.faults.append(Fault(name, WHOLE, utt, "noted", reason, "", file, line))

    def note_quotes(self, name: str, number: int, what: str) -> None:
        """Note from how many texts of a set, or of a language, quotes were removed."""
        self.details.setdefault("csv_quotes_removed", {})[name] = number
        self.notes.append(f"{name}: CSV quotes removed from {number} {what}")

    def table(self, total: bool = False) -> str:
        """Return ``counts.md``: sets, faults by reason, notes.

        Args:
            total: Whether to add the sum of all sets; they have nothing in common.
        """
        sets = dict(self.sets)
        if total:
            rows = sets.values()
            dropped = sum((row.dropped for row in rows), Counter())
            sets["all", WHOLE] = SetCounts(sum(row.listed for row in rows), dropped)
        parts = [_sets_table(sets)]
        if self.faults:
            parts.append(_faults_table(self.faults))
        if self.notes:
            parts.append("".join(f"- {note}\n" for note in self.notes))
        return "\n".join(parts)

    def save(self, folder: Path, total: bool = False) -> None:
        """Write ``counts.md``, ``counts.json`` and ``faults.tsv``.

        Args:
            folder: Where they go.
            total: See :meth:`table`.
        """
        sets = [
            {"set": name, "split": split, **row.describe()}
            for (name, split), row in self.sets.items()
        ]
        save_faults(folder / "faults.tsv", self.faults)
        with atomic_write(folder / "counts.json") as f:
            json.dump({"sets": sets, **self.details}, f, indent=2, ensure_ascii=False)
            f.write("\n")
        with atomic_write(folder / "counts.md") as f:
            f.write(self.table(total))


def save_faults(path: Path, faults: Sequence[Fault]) -> None:
    """Write every fault: set, split, utterance, action, reason, file and line."""
    with atomic_write(path) as f:
        f.write("set\tsplit\tutterance\taction\treason\tfile\tline\n")
        for *start, reason, detail, file, line in faults:
            why = f"{reason} ({detail})" if detail else reason
            f.write("\t".join(map(str, (*start, why, file, line))) + "\n")


def _sets_table(sets: dict[tuple[str, str], SetCounts]) -> str:
    """Return the markdown table of the sets."""
    dropped = sorted({reason for row in sets.values() for reason in row.dropped})
    changed = sorted({reason for row in sets.values() for reason in row.changed})
    header = ["set", "split", "listed", *dropped, "kept", *changed]
    rows = [
        [name, split, f"{row.listed}"]
        + [f"{row.dropped[reason]}" for reason in dropped]
        + [f"{row.kept}"]
        + [f"{row.changed[reason]}" for reason in changed]
        for (name, split), row in sets.items()
    ]
    if any(row.hours is not None for row in sets.values()):
        header.append("hours")
        for cells, row in zip(rows, sets.values()):
            cells.append("-" if row.hours is None else f"{row.hours:.2f}")
    if any(row.published is not None for row in sets.values()):
        header += ["published", "difference"]
        for cells, row in zip(rows, sets.values()):
            others = row.published
            cells += (
                ["-", "-"]
                if others is None
                else [f"{others}", f"{row.kept - others:+d}"]
            )
    return format_table(header, rows, text_columns=2)


def _faults_table(faults: Sequence[Fault]) -> str:
    """Return the markdown table of the kinds of faults, with an example of each."""
    numbers = Counter((fault.action, fault.reason) for fault in faults)
    examples = {(fault.action, fault.reason): fault for fault in reversed(faults)}
    rows = []
    for (action, reason), number in numbers.most_common():
        first = examples[action, reason]
        example = shown(f"{first.id} ({first.file}:{first.line})")
        rows.append([reason, action, example, f"{number}"])
    header = ["reason", "what is done", "first example", "number"]
    return format_table(header, rows, text_columns=3)
