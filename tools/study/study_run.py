"""One arm of a study with one seed."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from study.run_utterance import RunUtterance

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
