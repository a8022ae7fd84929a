"""The arms of a study: students, trainings, and what is changed in each."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with some of them replaced; tables are merged, lists are not.

    Args:
        base: Settings, nested.
        changes: Settings of the same nesting.
    """
    merged = dict(base)
    for name, value in changes.items():
        old = merged.get(name)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            value = merge(old, value)
        merged[name] = value
    return merged


BATCHES = ("batch_type", "batch_size", "batch_bins", "accum_grad", "use_amp")
"""Settings that follow from the size of the encoder."""
SCHEDULES = ("optim", "optim_conf", "scheduler", "scheduler_conf")
"""Settings of a training from beginning to end."""


@dataclasses.dataclass(frozen=True)
class EncoderSwap:
    """A distillation's settings, whose encoder takes the place of another one."""

    config: str
    """YAML file that they were read from."""
    conf: Mapping[str, Any]
    """The settings."""

    def apply(self, conf: Mapping[str, Any], config: str) -> dict[str, Any]:
        """Return the settings of a training with this encoder.

        Distillation, and CTC which is compared with it, get schedule and batches,
        too. Translation gets the batches and, where it trains the encoder, the
        learning rate: those of an encoder that begins at random are too high.

        Args:
            conf: The settings with the other encoder.
            config: Their YAML file, for errors.

        Raises:
            ValueError: The number of updates differs from that of this encoder's
                distillation, which other arms are compared by.
        """
        frontend_conf = dict(self.conf["frontend_conf"])
        frozen = conf["frontend_conf"].get("freeze", False)
        if "freeze" in conf["frontend_conf"]:
            frontend_conf["freeze"] = frozen
        swapped = {
            **conf,
            "frontend": self.conf["frontend"],
            "frontend_conf": frontend_conf,
            **{name: self.conf[name] for name in BATCHES if name in self.conf},
        }
        if "decoder" not in conf:
            for name in ("max_epoch", "num_iters_per_epoch"):
                if conf[name] != self.conf[name]:
                    raise ValueError(
                        f"{self.config}: {name} must be that of {config}, "
                        f"{conf[name]}, since arms are compared at equal updates: "
                        f"{self.conf[name]}"
                    )
            for name in SCHEDULES:
                swapped[name] = self.conf[name]
        elif not frozen and conf.get("trainable") != "adapters":
            rate = self.conf["optim_conf"]["lr"]
            changes = {"optim_conf": {"lr": rate}, "scheduler_conf": {"max_lr": rate}}
            swapped = merge(swapped, changes)
        return swapped


def read_encoder(path: str | os.PathLike[str]) -> EncoderSwap:
    """Read the settings of a distillation with another encoder.

    Args:
        path: YAML file, as samu_train gets it.

    Raises:
        ValueError: Naming the file, and what it lacks.
    """
    import yaml

    if not Path(path).is_file():
        raise ValueError(f"--encoder: no file {path}")
    with open(path, encoding="utf-8") as f:
        conf = yaml.safe_load(f)
    needed = {"frontend", "frontend_conf", "max_epoch", "num_iters_per_epoch"}
    needed |= {*SCHEDULES}
    if not isinstance(conf, dict) or needed - set(conf):
        raise ValueError(f"{path}: a distillation's settings need {sorted(needed)}")
    return EncoderSwap(str(path), conf)


def updates_of(conf: Mapping[str, Any]) -> int:
    """Return the number of updates that a configuration of ESPnet asks for.

    Args:
        conf: Its settings.

    Raises:
        ValueError: It does not say them.
    """
    try:
        return int(conf["max_epoch"]) * int(conf["num_iters_per_epoch"])
    except (KeyError, TypeError):
        raise ValueError(
            "max_epoch and num_iters_per_epoch must both be numbers: "
            f"{conf.get('max_epoch')}, {conf.get('num_iters_per_epoch')}"
        ) from None


@dataclasses.dataclass(frozen=True)
class Step:
    """A configuration file and the settings that replace its own."""

    config: str
    """YAML file, relative to the recipe."""
    set: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Settings that replace those of the file, nested as there."""
    encoder: EncoderSwap | None = None
    """Speech encoder that takes the place of the file's."""

    def load(self, recipe: Path, share: float = 1.0) -> dict[str, Any]:
        """Return the settings that the training gets.

        Args:
            recipe: Folder of the recipe.
            share: Share of the updates of every epoch that are made. The learning
                rate's cycle ends with the last update, as it does in the file.

        Raises:
            ValueError: Naming the file, which is not a table of settings, or does not
                go with the encoder.
        """
        import yaml

        with open(recipe / self.config, encoding="utf-8") as f:
            conf = yaml.safe_load(f)
        if not isinstance(conf, dict):
            raise ValueError(f"{recipe / self.config} must be a table of settings")
        conf = merge(conf, self.set)
        if self.encoder is not None:
            conf = self.encoder.apply(conf, self.config)
        return conf if share == 1.0 else _shorten(conf, share)


def _shorten(conf: dict[str, Any], share: float) -> dict[str, Any]:
    """Return settings with a share of the updates, and of all that is counted so."""
    iterations = max(1, round(conf["num_iters_per_epoch"] * share))
    schedule = {
        "first_cycle_steps": conf["max_epoch"] * iterations + 1,
        "warmup_steps": round(conf["scheduler_conf"]["warmup_steps"] * share),
    }
    changes: dict[str, Any] = {
        "num_iters_per_epoch": iterations,
        "scheduler_conf": schedule,
    }
    frozen = conf.get("model_conf", {}).get("freeze_encoder_updates")
    if frozen:
        changes["model_conf"] = {"freeze_encoder_updates": round(frozen * share)}
    return merge(conf, changes)


@dataclasses.dataclass(frozen=True)
class DataChange:
    """A change of the transcribed speech, the same for the same seed."""

    languages: tuple[str, ...] = ()
    """Languages that are left; all of them by default."""
    keep: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Share of the training utterances that is left, by language."""
    shuffle: bool = False
    """Whether training utterances get transcripts of others of their language."""
    translate: bool = False
    """Whether there are translations beside the transcripts."""

    def __post_init__(self) -> None:
        """Check the shares.

        Raises:
            ValueError: Naming language and share.
        """
        for lang, share in self.keep.items():
            if not 0.0 < share <= 1.0:
                raise ValueError(f"keep of {lang} must be above 0, at most 1: {share}")
        if self.shuffle and self.translate:
            raise ValueError("shuffle does not go with translate")

    @property
    def is_none(self) -> bool:
        """Whether nothing is changed."""
        return self == DataChange()

    def options(self) -> list[str]:
        """Return the options of local/study_data.py."""
        options: list[str] = []
        if self.languages:
            options += ["--languages", " ".join(self.languages)]
        for lang, share in sorted(self.keep.items()):
            options += ["--keep", f"{lang}={share}"]
        for name in ("shuffle", "translate"):
            if getattr(self, name):
                options += [f"--{name}", "true"]
        return options

    def to_dict(self) -> dict[str, Any]:
        """Return what is changed."""
        fields = {
            "languages": list(self.languages),
            "keep": dict(self.keep),
            "shuffle": self.shuffle,
            "translate": self.translate,
        }
        return {name: value for name, value in fields.items() if value}


KINDS = ("distillation", "ctc")


@dataclasses.dataclass(frozen=True)
class Student:
    """How an encoder is trained before translation."""

    name: str
    """Name of the variant."""
    kind: str
    """How it is trained: distillation, or ctc on the transcripts."""
    step: Step
    """Its training."""
    data: DataChange = DataChange()
    """Its transcribed speech, where it is not all of it."""

    def __post_init__(self) -> None:
        """Check the kind.

        Raises:
            ValueError: It is not known.
        """
        if self.kind not in KINDS:
            raise ValueError(f"kind of a student must be one of {KINDS}: '{self.kind}'")


@dataclasses.dataclass(frozen=True)
class Arm:
    """What is compared with what."""

    name: str
    """Name of the arm."""
    letter: str
    """Letter in the study's plan."""
    title: str
    """Its name in tables and charts, at most 30 characters."""
    what: str
    """One line for readers."""
    seeds: tuple[int, ...]
    """Seeds that it is run with."""
    student: Student | None
    """Encoder that translation starts from; None: a fresh one."""
    translation: Step | None
    """Training of the translation model; None: a program translates."""
    frozen: bool
    """Whether translation leaves the student's encoder as it is."""
    primary: bool = False
    """Whether a comparison that counts has it."""
    replication: tuple[int, ...] = ()
    """Further seeds, registered later, that are compared by themselves."""
    program: tuple[str, ...] = ()
    """Command that translates without training; gets `--seed` and `--output_dir`, in
    which it writes `text` and, where it has them, scores of retrieval."""

    def __post_init__(self) -> None:
        """Check that there is one way to its translations.

        Raises:
            ValueError: There is none, or two.
        """
        if (self.translation is None) != bool(self.program):
            raise ValueError(f"arm {self.name} needs translation or program")


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two arms, of which the first is expected to be better."""

    name: str
    """Name of the hypothesis."""
    arm: str
    """Arm that is expected to be better."""
    against: str
    """Arm that it is compared with."""
    shows: str
    """What it would show."""
