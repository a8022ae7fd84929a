"""CoVoST-2's directions and scenarios, and the counts of each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from espnet_samu.corpora.common_voice import Validated
from espnet_samu.scoring.table import format_table
from espnet_samu.utils.atomic import atomic_write

ENGLISH = "en"
SPLITS = ("train", "dev", "test")
HIGH = ("fr", "de", "es", "ca")
"""Languages with much data."""
INTO_ENGLISH = (
    *HIGH,
    *"it ru zh-CN pt fa et mn nl tr ar sv-SE lv sl ta ja id cy".split(),
)
"""Common Voice's names of the 21 languages that are translated into English."""
FROM_ENGLISH = tuple("de tr fa sv-SE mn zh-CN cy ca sl et id ar ta lv ja".split())
"""The 15 that English is translated into."""


@dataclass(frozen=True, order=True)
class Direction:
    """A source and a target language."""

    source: str
    target: str

    @property
    def name(self) -> str:
        """Such as fr-en."""
        return f"{self.source}-{self.target}"

    @property
    def file(self) -> str:
        """File name of the translations."""
        return f"covost_v2.{self.source}_{self.target}.tsv"

    @property
    def suffix(self) -> str:
        """What utterance ids end in: an English clip has up to 15 translations."""
        return f"-{self.target}" if self.source == ENGLISH else ""


@dataclass(frozen=True)
class Scenario:
    """What is trained on and what is tested."""

    tag: str
    """Names sets and text files, and through them token lists and experiments, so that
    none takes another's."""
    train: tuple[Direction, ...]
    """Directions of the training and the development set."""
    test: tuple[Direction, ...]
    """Directions of the test set."""

    @property
    def directions(self) -> list[Direction]:
        """All directions, those of a source language side by side."""
        both = dict.fromkeys((*self.train, *self.test))
        sources = list(dict.fromkeys(d.source for d in both))
        return sorted(both, key=lambda direction: sources.index(direction.source))


_X2EN = tuple(Direction(lang, ENGLISH) for lang in INTO_ENGLISH)
_EN2X = tuple(Direction(ENGLISH, lang) for lang in FROM_ENGLISH)
_HIGH2EN = tuple(d for d in _X2EN if d.source in HIGH)
SCENARIOS = {
    "x2en": Scenario("x2en", _X2EN, _X2EN),
    "high2en": Scenario("high2en", _HIGH2EN, _X2EN),
    "en2x": Scenario("en2x", _EN2X, _EN2X),
    # text.tc.multi are the transcripts.
    "multi": Scenario("x2x", _X2EN + _EN2X, _X2EN + _EN2X),
}


def choose_scenario(name: str, langs: Sequence[str] = ()) -> Scenario:
    """Return a scenario, or its part with a few languages.

    Args:
        name: One of ``SCENARIOS``.
        langs: Languages beside English; empty: all.

    Raises:
        ValueError: No such scenario or language, or nothing left to train on.
    """
    if name not in SCENARIOS:
        raise ValueError(f"--scenario must be one of {' '.join(SCENARIOS)}: '{name}'")
    for lang in langs:
        if lang not in INTO_ENGLISH:
            raise ValueError(
                f"--langs '{lang}' is not one of {' '.join(INTO_ENGLISH)} (English "
                "always takes part)"
            )
    if not langs:
        return SCENARIOS[name]

    def part(directions: tuple[Direction, ...]) -> tuple[Direction, ...]:
        return tuple(d for d in directions if {d.source, d.target} & set(langs))

    scenario = SCENARIOS[name]
    train, test = part(scenario.train), part(scenario.test)
    if not train:
        raise ValueError(
            f"--langs {' '.join(langs)} leaves no direction of {name} to train on: "
            f"{' '.join(d.name for d in scenario.train)}"
        )
    return Scenario("_".join([scenario.tag, *sorted(set(langs))]), train, test)


def read_languages(path: Path) -> list[str]:
    """Read the languages of a TSV file: its first column.

    Args:
        path: Lines that begin with # or with ``language`` are no languages.
    """
    lines = path.read_text("utf-8").splitlines()
    names = [line.split("\t")[0] for line in lines if not line.startswith("#")]
    return [name for name in names if name != "language"]


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
        self.faults: list[tuple[str, str, str, str, Path, int]] = []
        """Direction (or language), split, clip, reason, file and line of each."""
        self.unquoted: dict[str, tuple[int, int, str]] = {}
        """By language, where CSV quotes were removed: of how many transcripts, of how
        many in all, file name of the first clip."""
        self.overlaps: list[tuple[str, str, str, int, int]] = []
        """Direction, two splits, speakers in both, their utterances in the second."""

    def drop(
        self, direction: str, split: str, clip: str, reason: str, file: Path, line: int
    ) -> None:
        """Note an utterance that is not used, and the line that lists it."""
        self.dropped.setdefault((direction, split), Counter())[reason] += 1
        self.faults.append((direction, split, clip, reason, file, line))

    def note(self, lang: str, clip: str, reason: str, file: Path, line: int) -> None:
        """Note what belongs to no split, such as a line that cannot be read."""
        self.faults.append((lang, "-", clip, reason, file, line))

    def note_validated(self, lang: str, validated: Validated, folder: Path) -> None:
        """Note what is wrong with validated.tsv of a language."""
        file = folder / "validated.tsv"
        for name, line in validated.duplicates:
            self.note(lang, name, "duplicate in validated.tsv", file, line)
        for line in validated.malformed:
            reason = "malformed line of validated.tsv"
            self.note(lang, f"line {line}", reason, file, line)
        if validated.unquoted:
            number, total = len(validated.unquoted), len(validated.clips)
            self.unquoted[lang] = number, total, validated.unquoted[0]

    def quote_notes(self) -> list[str]:
        """Return a line of markdown for each language whose quotes were removed."""
        return [
            f"- {lang}: CSV quotes removed from {number} of {total} transcripts, such "
            f"as that of {name}"
            for lang, (number, total, name) in self.unquoted.items()
        ]

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
            (lang, reason) for lang, split, _, reason, *_ in self.faults if split == "-"
        )
        lines += [f"- {lang}: {n} x {why}" for (lang, why), n in others.items()]
        return "\n".join([table, *lines, *self.quote_notes()]).rstrip() + "\n"

    def save(self, folder: Path, table: str) -> None:
        """Write counts.md, counts.json and faults.tsv."""
        with atomic_write(folder / "faults.tsv") as f:
            f.write("set\tsplit\tclip\treason\tfile\tline\n")
            f.writelines("\t".join(map(str, fault)) + "\n" for fault in self.faults)
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
            "csv_quotes_removed": {
                lang: number for lang, (number, *_) in self.unquoted.items()
            },
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
