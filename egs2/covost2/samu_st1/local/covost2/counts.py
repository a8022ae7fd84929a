"""What was read, kept and dropped, beside what was published."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from covost2.scenarios import SPLITS, Direction

from espnet_samu.scoring.table import format_table
from espnet_samu.utils.atomic import atomic_write


def read_published(path: Path) -> dict[str, dict[str, int]]:
    """Read published counts.

    Args:
        path: TSV file ``source train dev test`` with a header; # begins a comment.

    Returns:
        Utterances by source language and split.

    Raises:
        ValueError: A line has another form; names file and line.
    """
    table: dict[str, dict[str, int]] = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        fields = line.split("\t")
        if line.startswith("#") or fields == ["source", *SPLITS]:
            continue
        if len(fields) != 4 or not all(field.isdecimal() for field in fields[1:]):
            raise ValueError(f"{path}:{number}: need source, train, dev, test: {line}")
        table[fields[0]] = dict(zip(SPLITS, map(int, fields[1:])))
    return table


class Counts:
    """Utterances of every direction and split, and what became of them."""

    def __init__(self) -> None:
        self.listed: Counter[tuple[str, str]] = Counter()
        """Lines of the translations by direction and split."""
        self.dropped: dict[tuple[str, str], Counter[str]] = {}
        """Of these, not used: by reason."""
        self.faults: list[tuple[str, str, str, str]] = []
        """Direction (or language), split, clip (or line) and reason of each."""
        self.overlaps: list[tuple[str, str, str, int, int]] = []
        """Direction, two splits, speakers in both, their utterances in the second."""

    def drop(self, direction: str, split: str, clip: str, reason: str) -> None:
        """Note an utterance that is not used."""
        self.dropped.setdefault((direction, split), Counter())[reason] += 1
        self.faults.append((direction, split, clip, reason))

    def note(self, lang: str, clip: str, reason: str) -> None:
        """Note what belongs to no split, such as a line that cannot be read."""
        self.faults.append((lang, "-", clip, reason))

    def kept(self, direction: str, split: str) -> int:
        """Return the number of utterances that are used."""
        dropped = self.dropped.get((direction, split), Counter())
        return self.listed[direction, split] - dropped.total()

    def table(
        self,
        directions: list[Direction],
        published: Mapping[str, Mapping[str, int]],
    ) -> str:
        """Return the markdown table: our counts beside the published ones."""
        reasons = sorted({r for dropped in self.dropped.values() for r in dropped})
        header = ["direction", "split", "listed", *reasons, "kept", "published"]
        rows = []
        for direction in directions:
            for split in SPLITS:
                dropped = self.dropped.get((direction.name, split), Counter())
                kept = self.kept(direction.name, split)
                wanted = published.get(direction.source, {}).get(split)
                rows.append(
                    [direction.name, split, str(self.listed[direction.name, split])]
                    + [str(dropped[reason]) for reason in reasons]
                    + [str(kept), "-" if wanted is None else str(wanted)]
                    + ["-" if wanted is None else f"{kept - wanted:+d}"]
                )
        table = format_table([*header, "difference"], rows, text_columns=2)
        shared: dict[str, list[str]] = {}
        for name, first, second, speakers, utterances in self.overlaps:
            shared.setdefault(name, []).append(
                f"{speakers} of {first} in {second} ({utterances} utterances there)"
            )
        lines = [f"- {n}: speakers: {', '.join(pairs)}" for n, pairs in shared.items()]
        others = Counter(
            (lang, reason) for lang, split, _, reason in self.faults if split == "-"
        )
        lines += [f"- {lang}: {n} x {why}" for (lang, why), n in others.items()]
        return "\n".join([table, *lines]).rstrip() + "\n"

    def save(self, folder: Path, table: str) -> None:
        """Write counts.md, counts.json and faults.tsv."""
        with atomic_write(folder / "faults.tsv") as f:
            f.write("set\tsplit\tclip\treason\n")
            f.writelines("\t".join(fault) + "\n" for fault in self.faults)
        content = {
            "sets": [
                {
                    "direction": name,
                    "split": split,
                    "listed": listed,
                    "dropped": dict(self.dropped.get((name, split), {})),
                    "kept": self.kept(name, split),
                }
                for (name, split), listed in self.listed.items()
            ],
            "speaker_overlaps": [
                dict(zip(("direction", "first", "second", "speakers", "utts"), overlap))
                for overlap in self.overlaps
            ],
        }
        with atomic_write(folder / "counts.json") as f:
            json.dump(content, f, indent=2)
            f.write("\n")
        with atomic_write(folder / "counts.md") as f:
            f.write(table)
