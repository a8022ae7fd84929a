"""A run of a study as its file holds it: figures and translations."""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints

from espnet_samu.scoring.translation import (
    SlotWords,
    exact_match,
    longest_common_subsequence,
)
from espnet_samu.utils.atomic import atomic_write


@dataclasses.dataclass(frozen=True)
class RunUtterance:
    """What was said, what came out, and how much of it is right."""

    id: str
    """Utterance id."""
    lang: str
    """Source language."""
    ref: str
    """Reference translation."""
    hyp: str
    """Translation; "" for an empty one."""
    exact: int
    """1 where they are equal but for blanks, else 0."""
    slots_right: int
    """Slot words of the reference that the translation has, in order."""
    slots: int
    """Slot words of the reference."""

    @classmethod
    def of(
        cls, utt: str, lang: str, ref: str, hyp: str, slot_words: SlotWords
    ) -> "RunUtterance":
        """Return a translation with the counts of what is right in it.

        Args:
            utt: Utterance id.
            lang: Source language.
            ref: Reference translation.
            hyp: Translation.
            slot_words: Finds the words that `slot_accuracy` counts.
        """
        wanted, given = slot_words.find(ref), slot_words.find(hyp)
        right = longest_common_subsequence(wanted, given)
        exact = int(exact_match([hyp], [ref]).value)
        return cls(utt, lang, ref, hyp, exact, right, len(wanted))

    @classmethod
    def from_dict(cls, table: Any) -> "RunUtterance":
        """Return the utterance that `to_dict` made a table of.

        Args:
            table: Value of every field.

        Raises:
            ValueError: Naming the field that is missing, not known, or wrong.
        """
        types = get_type_hints(cls)
        if not isinstance(table, Mapping) or set(table) != set(types):
            raise ValueError(f"an utterance has the fields {[*types]}: {table!r}")
        for name, kind in types.items():
            if type(table[name]) is not kind:
                raise ValueError(
                    f"{name} of an utterance must be {kind.__name__}: {table[name]!r}"
                )
        if table["exact"] not in (0, 1):
            raise ValueError(f"exact must be 0 or 1: {table['exact']}")
        if not 0 <= table["slots_right"] <= table["slots"]:
            raise ValueError(
                f"slots_right must be 0 to slots ({table['slots']}): "
                f"{table['slots_right']}"
            )
        return cls(**table)

    def to_dict(self) -> dict[str, str | int]:
        """Return the value of every field."""
        return dataclasses.asdict(self)


FORMAT = 1
"""Number of the layout of a run file."""
STATUSES = ("ok", "failed")


@dataclasses.dataclass(frozen=True)
class StudyRun:
    """What a run was, what it cost and what came out."""

    arm: str
    """Name of the arm, with `+<hash>` where the settings are not the stored ones."""
    letter: str
    """Letter of the arm in the study's plan."""
    seed: int
    """Seed of teacher, student and translation model."""
    settings: Mapping[str, Any]
    """Settings that differ from the arm's stored ones, by flat name, and `hash`, that
    of all settings."""
    status: str
    """"ok" or "failed"."""
    error: str | None = None
    """What went wrong in a failed run."""
    updates: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """Updates by step: distillation, translation."""
    seconds: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Wall time by step: distillation, translation, decoding."""
    machine: str = ""
    """Class of the machine."""
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Version of each package."""
    retrieval: Mapping[str, Mapping[str, float]] | None = None
    """R@1, speech to text, of the encoder before translation training, by set and
    language; None where there is no distilled encoder, or it was trained on."""
    curves: Mapping[str, Sequence[Mapping[str, float]]] = dataclasses.field(
        default_factory=dict
    )
    """By step: one table of figures for every epoch."""
    dev: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Scores on the development set."""
    utterances: Mapping[str, Sequence[RunUtterance]] = dataclasses.field(
        default_factory=dict
    )
    """Translations by test set."""

    def __post_init__(self) -> None:
        """Check what can be checked.

        Raises:
            ValueError: Naming the field, its value and what is allowed.
        """
        if not self.arm or not self.letter:
            raise ValueError(f"arm and letter must not be empty: {self.arm!r}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative: {self.seed}")
        if not isinstance(self.settings.get("hash"), str):
            raise ValueError(f"settings must have a hash: {dict(self.settings)}")
        if self.status not in STATUSES:
            raise ValueError(f"status must be one of {STATUSES}: '{self.status}'")
        if (self.status == "failed") != bool(self.error):
            raise ValueError(
                f"a failed run has an error, another none: status '{self.status}', "
                f"error {self.error!r}"
            )
        if self.status == "ok" and not any(self.utterances.values()):
            raise ValueError("utterances of a run with status 'ok' must not be empty")

    @property
    def hash(self) -> str:
        """That of all settings."""
        return self.settings["hash"]

    @classmethod
    def from_dict(cls, table: Any) -> "StudyRun":
        """Return the run that `to_dict` made a table of.

        Args:
            table: Value of every field, and `format`.

        Raises:
            ValueError: Naming what is missing, not known, or wrong.
        """
        names = {field.name: field.type for field in dataclasses.fields(cls)}
        if not isinstance(table, Mapping) or table.get("format") != FORMAT:
            raise ValueError(f"not a run of format {FORMAT}")
        if odd := set(table) ^ {"format", *names}:
            raise ValueError(f"missing or unknown fields: {sorted(odd)}")
        for name in ("settings", "updates", "seconds", "versions", "curves", "dev"):
            if not isinstance(table[name], Mapping):
                raise ValueError(f"{name} must be an object: {table[name]!r}")
        for name in ("arm", "letter", "status", "machine"):
            if not isinstance(table[name], str):
                raise ValueError(f"{name} must be a string: {table[name]!r}")
        if type(table["seed"]) is not int:
            raise ValueError(f"seed must be a whole number: {table['seed']!r}")
        if not isinstance(table["utterances"], Mapping):
            raise ValueError(f"utterances must be an object: {table['utterances']!r}")
        values = {name: table[name] for name in names}
        values["utterances"] = {
            dset: tuple(RunUtterance.from_dict(utt) for utt in utts)
            for dset, utts in table["utterances"].items()
        }
        for dset, utts in values["utterances"].items():
            if len({utt.id for utt in utts}) < len(utts):
                raise ValueError(f"utterances of {dset} must have different ids")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return the value of every field, and `format`."""
        return {"format": FORMAT, **dataclasses.asdict(self)}


def run_path(folder: str | os.PathLike[str], arm: str, seed: int) -> Path:
    """Return the file of an arm and a seed.

    Args:
        folder: Folder of all runs.
        arm: Name of the arm.
        seed: Its seed.
    """
    return Path(folder) / arm / f"seed{seed}.json"


def _lines(value: Any, depth: int) -> str:
    """Return JSON with one entry of the innermost lists and objects a line.

    Args:
        value: What json.dumps takes.
        depth: How many levels are spread over lines.
    """
    if depth == 0 or not value or not isinstance(value, (dict, list, tuple)):
        return json.dumps(value, ensure_ascii=False, sort_keys=True, allow_nan=False)
    if isinstance(value, dict):
        entries = [
            f"{json.dumps(key, ensure_ascii=False)}: {_lines(value[key], depth - 1)}"
            for key in sorted(value)
        ]
        return "{\n" + ",\n".join(entries) + "\n}"
    return "[\n" + ",\n".join(_lines(entry, depth - 1) for entry in value) + "\n]"


def write_run(path: str | os.PathLike[str], run: StudyRun) -> None:
    """Write a run, atomically.

    Args:
        path: The file; its folder is made when missing.
        run: The run.

    Raises:
        ValueError: For a figure that is not finite.
    """
    text = _lines(run.to_dict(), depth=3)
    with atomic_write(path) as f:
        f.write(text + "\n")


def read_run(path: str | os.PathLike[str]) -> StudyRun:
    """Read a run.

    Args:
        path: The file.

    Raises:
        ValueError: Naming the file, for what `write_run` did not write.
    """
    with open(path, encoding="utf-8") as f:
        try:
            return StudyRun.from_dict(json.load(f))
        except (ValueError, TypeError, AttributeError) as e:
            raise ValueError(f"{path}: not the file of a run: {e}") from None


def read_runs(folder: str | os.PathLike[str]) -> list[StudyRun]:
    """Read all runs below a folder, sorted by arm and seed.

    Args:
        folder: Its files are <arm>/seed<N>.json.

    Raises:
        ValueError: As `read_run`, and for a file whose name is not that of its run.
    """
    runs = []
    for path in Path(folder).glob("*/seed*.json"):
        run = read_run(path)
        if path != run_path(folder, run.arm, run.seed):
            raise ValueError(f"{path}: arm '{run.arm}', seed {run.seed} by its content")
        runs.append(run)
    return sorted(runs, key=lambda run: (run.arm, run.seed))
