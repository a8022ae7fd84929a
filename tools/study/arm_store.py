"""Where the runs of the study are, and what their folders say."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from espnet_samu.utils.kaldi_io import read_text
from study import collect
from study.arm import Arm
from study.run_file import read_run, run_path, write_run
from study.seconds import read_seconds
from study.settings import settings_hash
from study.step import updates_of
from study.stored_settings import StoredSettings
from study.student import Student
from study.study_run import StudyRun
from study.train_log import read_epochs

DECODED = "study/decode"  # all sets below, in one process
TESTS = ("test", "test_menardi", "test_prompts")
RETRIEVED = ("test", "test_menardi")
DEV = "dev"
DATA = Path("dump/raw")
BEST = {"distillation": "valid.cos_right.best.pth", "ctc": "valid.loss.best.pth"}
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
        root: Experiment folder of the study.
        runs: Folder of the run files.
        share: Share of the updates that are made.
        ngpu: GPUs of every training.
    """

    def __init__(
        self,
        settings: StoredSettings,
        stored: StoredSettings,
        root: Path,
        runs: Path,
        share: float = 1.0,
        ngpu: int = 0,
    ) -> None:
        self.settings = settings
        self.stored = stored
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
        """Return the file of a student's best model."""
        folder = self.root / self.student_task(student, seed)
        return folder / "student" / BEST[student.kind]

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
            "versions": collect.versions(),
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
        names = {"translation": self.arm_task(arm, seed)}
        logs = {"translation": self.root / names["translation"] / "translation"}
        retrieval = None
        if arm.student is not None:
            kind = arm.student.kind
            names[kind] = self.student_task(arm.student, seed)
            logs[kind] = self.root / names[kind] / "student"
            if arm.frozen and kind == "distillation":
                tag = BEST[kind].removesuffix(".pth")
                retrieval = collect.read_retrieval(
                    logs[kind] / f"retrieval_{tag}", RETRIEVED
                )
        times: dict[str, float] = {"distillation": 0.0}
        for name in names.values():
            times |= read_seconds(self.root / f"{name}.seconds.json")
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
        words = Path("data/slots.txt").read_text(encoding="utf-8").split()
        hyps = read_text(logs["translation"] / "decode" / DECODED / "text")
        utterances = {
            dset: collect.read_utterances(hyps, DATA / dset, words)
            for dset in (*TESTS, DEV)
        }
        dev: dict[str, Any] = collect.score_utterances(utterances.pop(DEV), words)
        dev["acc"] = max(epoch["acc"] for epoch in curves["translation"])
        return {
            "updates": {"distillation": 0, **updates},
            "seconds": times,
            "retrieval": retrieval,
            "curves": curves,
            "dev": dev,
            "utterances": utterances,
        }
