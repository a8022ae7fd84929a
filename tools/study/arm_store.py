"""Where the runs of the study are, and what their folders say."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from espnet_samu.scoring.inputs import ALL, AVERAGE, match_hypotheses
from espnet_samu.scoring.translation import (
    MetricSettings,
    SlotWords,
    score_translation,
)
from espnet_samu.utils.kaldi_io import read_text
from espnet_samu.utils.training_log import read_results
from study.arms import Arm, Student, updates_of
from study.plan import StudySets
from study.run_file import RunUtterance, StudyRun, read_run, run_path, write_run
from study.schedule import read_seconds
from study.stored_settings import StoredSettings, settings_hash


def read_epochs(log: Path, names: Sequence[str]) -> list[dict[str, float]]:
    """Read figures of every epoch of a training, and of those before it was resumed.

    Args:
        log: train.log.
        names: Which figures, as the log names them.

    Returns:
        For each epoch `epoch`, `updates` so far, and the validation figures that were
        asked for and are there; those of training are named `train_<name>`.
    """
    epochs = []
    for results in read_results(log):
        table: dict[str, float] = {"epoch": results.epoch}
        if "total_count" in results.train:
            table["updates"] = int(results.train["total_count"])
        for prefix, figures in (("train_", results.train), ("", results.valid)):
            for name in names:
                if math.isfinite(figures.get(name, math.nan)):
                    table[prefix + name] = figures[name]
        epochs.append(table)
    return epochs


ENGLISH = "english"  # folder, below that of a set, of retrieval among all concepts
DIRECTIONS = {"speech to English": "speech-text", "English to speech": "text-speech"}


def read_retrieval(folder: Path, sets: Sequence[str]) -> dict[str, dict[str, float]]:
    """Read R@1 by set and language.

    Args:
        folder: Of stage 9; it has <set>/retrieval.json, some also
            <set>/english/retrieval.json.
        sets: Names of the sets.

    Returns:
        Speech to its own transcripts by the name of the set; then both directions
        between speech and English by names as `SET, speech to English`.
    """
    found = {}
    for dset in sets:
        tables = {dset: (folder / dset, "speech-text")}
        for name, direction in DIRECTIONS.items():
            tables[f"{dset}, {name}"] = (folder / dset / ENGLISH, direction)
        for name, (place, direction) in tables.items():
            path = place / "retrieval.json"
            if place.name == ENGLISH and not path.exists():
                continue
            with open(path, encoding="utf-8") as f:
                scores = json.load(f)["scores"]
            # English has no language of its own: texts of all are one pool.
            found[name] = {
                score["target_lang" if score["lang"] == ALL else "lang"]: score["r1"]
                for score in scores
                if score["direction"] == direction and score["lang"] != AVERAGE
            }
    return found


def read_utterances(
    hyps: Mapping[str, str], data_dir: Path, slot_words: Sequence[str]
) -> list[RunUtterance]:
    """Return the translations of one set.

    Args:
        hyps: Translation by utterance; may have those of other sets, too.
        data_dir: Formatted data directory of the set: text.tc.en, utt2lang.
        slot_words: Words that count for slot accuracy.

    Raises:
        ValueError: A translation is missing.
    """
    refs = read_text(data_dir / "text.tc.en", allow_empty=False)
    langs = read_text(data_dir / "utt2lang", allow_empty=False)
    own = {utt: hyps[utt] for utt in refs if utt in hyps}
    matched = match_hypotheses(data_dir.name, own, refs)
    slots = SlotWords(slot_words)
    return [
        RunUtterance.of(utt, langs[utt], ref, matched[utt], slots)
        for utt, ref in refs.items()
    ]


def score_utterances(
    utterances: Sequence[RunUtterance], slot_words: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Return BLEU, exact match and slot accuracy by language.

    Args:
        utterances: Translations of one set.
        slot_words: Words that count for slot accuracy.
    """
    settings = MetricSettings(metrics=("bleu",), slot_words=tuple(slot_words))
    table: dict[str, dict[str, float]] = {}
    for lang in dict.fromkeys(utt.lang for utt in utterances):
        part = [utt for utt in utterances if utt.lang == lang]
        scores = score_translation(
            [utt.hyp for utt in part], [utt.ref for utt in part], settings=settings
        )
        for name in ("bleu", "exact_match", "slot_accuracy"):
            if name in scores:
                table.setdefault(name, {})[lang] = round(scores[name].value, 4)
    return table


def versions() -> dict[str, str]:
    """Return the versions that the figures of a run depend on."""
    import platform
    from importlib.metadata import version

    names = ("espnet", "espnet_samu", "numpy", "sacrebleu", "torch", "transformers")
    found: dict[str, Any] = {name: version(name) for name in names}
    return {**found, "python": platform.python_version()}


DECODED = "study/decode"  # all test sets and dev, in one process
DEV = "dev"
DATA = Path("dump/raw")
SLOTS = Path("data/slots.txt")  # words of the slot accuracy, where there are any
FIGURES = {
    "distillation": ("loss", "cos_right", "r1"),
    "ctc": ("loss",),
    "translation": ("loss", "acc"),
}


class StudyStore:
    """Folders and files of runs, named by their settings.

    Args:
        settings: All settings as they are now.
        stored: Those that were stored before the runs.
        sets: Data sets that runs are scored on.
        root: Experiment folder of the study.
        runs: Folder of the run files.
        share: Share of the updates that are made.
        ngpu: GPUs of every training.
    """

    def __init__(
        self,
        settings: StoredSettings,
        stored: StoredSettings,
        sets: StudySets,
        root: Path,
        runs: Path,
        share: float = 1.0,
        ngpu: int = 0,
    ) -> None:
        self.settings = settings
        self.stored = stored
        self.sets = sets
        self.root = root
        self.runs = runs
        self.share = share
        self.ngpu = ngpu

    def run_path(self, arm: Arm, seed: int) -> Path:
        """Return the file of a run."""
        name = self.settings.arm_name(self.stored, arm.name)
        return run_path(self.runs, name, seed)

    def arm_task(self, arm: Arm, seed: int) -> str:
        """Return the name of a run's task, which is that of its folder, too."""
        return f"arms/{self.run_path(arm, seed).parent.name}/seed{seed}"

    def student_task(self, student: Student, seed: int) -> str:
        """Return the name of a student's task, which is that of its folder, too."""
        name = self.settings.student_name(self.stored, student.name)
        return f"students/{name}/seed{seed}"

    def best_student(self, student: Student, seed: int) -> Path:
        """Return the file of a student's best model, by its validation criterion."""
        folder = self.root / self.student_task(student, seed)
        conf = student.step.load(Path("."), self.share)
        split, figure = conf["best_model_criterion"][0][:2]
        return folder / "student" / f"{split}.{figure}.best.pth"

    def is_finished(self, arm: Arm, seed: int, retry_failed: bool = False) -> bool:
        """Return whether a run is stored already.

        Args:
            arm: The arm.
            seed: Its seed.
            retry_failed: Whether a failed run is not; its file stays until the new
                one is there.

        Raises:
            ValueError: A run of that name was made with other settings.
        """
        path = self.run_path(arm, seed)
        if not path.exists():
            return False
        run = read_run(path)
        now = settings_hash(self.settings.arms[arm.name])
        if run.hash != now:
            raise ValueError(
                f"{path} was made with other settings ({run.hash}, now {now}): "
                "remove it, or put the settings back that it was made with"
            )
        return run.status == "ok" or not retry_failed

    def store(self, arm: Arm, seed: int, error: str | None) -> None:
        """Write the file of a run.

        Args:
            arm: The arm.
            seed: Its seed.
            error: What went wrong, if it failed.
        """
        path = self.run_path(arm, seed)
        fields: dict[str, Any] = {
            "arm": path.parent.name,
            "letter": arm.letter,
            "seed": seed,
            "settings": self.settings.difference(self.stored, arm.name),
            "machine": f"{os.cpu_count()} cores, {self.ngpu or 'no'} GPU",
            "versions": versions(),
        }
        if error is not None:
            run = StudyRun(status="failed", error=error, **fields)
        else:
            run = StudyRun(status="ok", **fields, **self._read(arm, seed))
        write_run(path, run)

    def _read(self, arm: Arm, seed: int) -> dict[str, Any]:
        """Return what a finished run's folders say.

        Raises:
            ValueError: It lacks updates or translations.
        """
        if arm.translation is None:
            return self._read_translations(self.root / self.arm_task(arm, seed))
        names = {"translation": self.arm_task(arm, seed)}
        logs = {"translation": self.root / names["translation"] / "translation"}
        retrieval = None
        if arm.student is not None:
            kind = arm.student.kind
            names[kind] = self.student_task(arm.student, seed)
            logs[kind] = self.root / names[kind] / "student"
            if arm.frozen and kind == "distillation":
                tag = self.best_student(arm.student, seed).stem
                folder = logs[kind] / f"retrieval_{tag}"
                retrieval = read_retrieval(folder, self.sets.retrieved)
        times: dict[str, float] = {"distillation": 0.0}
        for name in names.values():
            times |= read_seconds(self.root / f"{name}.seconds")
        curves = {
            step: read_epochs(folder / "train.log", FIGURES[step])
            for step, folder in logs.items()
        }
        updates = {step: int(epochs[-1]["updates"]) for step, epochs in curves.items()}
        wanted = updates_of(arm.translation.load(Path("."), self.share))
        if updates["translation"] != wanted:
            raise ValueError(
                f"translation made {updates['translation']} of {wanted} updates"
            )
        words = SLOTS.read_text(encoding="utf-8").split() if SLOTS.exists() else []
        hyps = read_text(logs["translation"] / "decode" / DECODED / "text")
        utterances = {
            dset: read_utterances(hyps, DATA / dset, words)
            for dset in (*self.sets.tests, DEV)
        }
        dev: dict[str, Any] = score_utterances(utterances.pop(DEV), words)
        dev["acc"] = max(epoch["acc"] for epoch in curves["translation"])
        return {
            "updates": {"distillation": 0, **updates},
            "seconds": times,
            "retrieval": retrieval,
            "curves": curves,
            "dev": dev,
            "utterances": utterances,
        }

    def _read_translations(self, folder: Path) -> dict[str, Any]:
        """Return what a program's folder says, which translates without training."""
        hyps = read_text(folder / "text")
        sets = [
            d for d in self.sets.tests if {*read_text(DATA / d / "utt2lang")} & {*hyps}
        ]
        return {
            "seconds": {"distillation": 0.0, **read_seconds(Path(f"{folder}.seconds"))},
            "retrieval": read_retrieval(
                folder, [d for d in self.sets.retrieved if (folder / d).exists()]
            )
            or None,
            "utterances": {d: read_utterances(hyps, DATA / d, []) for d in sets},
        }
