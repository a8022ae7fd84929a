"""CoVoST-2's directions and scenarios, and the published counts of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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
        """Source and target language, e.g. fr-en."""
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
