"""What the study has to run: teachers, students, arms as calls of run.sh."""

from pathlib import Path
from typing import Any

import yaml

from espnet_samu.utils.atomic import atomic_write
from study.arm_store import DATA, DECODED, ENGLISH, StudyStore
from study.arms import Arm, Student
from study.plan import Plan
from study.schedule import Command, Task

STATS = "exp/st_stats_raw_multi_en_bpe{}"  # of pieces: st.sh's name


def dump(conf: dict[str, Any]) -> str:
    """Return settings as they are written."""
    return yaml.safe_dump(conf, allow_unicode=True, sort_keys=True)


def check_same(folder: Path, name: str, conf: dict[str, Any]) -> None:
    """Refuse a folder that was made with other settings.

    Raises:
        ValueError: It was.
    """
    path = folder / name
    if path.exists() and path.read_text(encoding="utf-8") != dump(conf):
        raise ValueError(
            f"{path} has other settings than this run: remove {folder}*, or put the "
            "settings back"
        )


class StudyTasks:
    """Tasks of the arms of a plan, in the folder of the recipe.

    Args:
        plan: The plan.
        store: Where runs and students are.
    """

    def __init__(self, plan: Plan, store: StudyStore) -> None:
        self.plan = plan
        self.store = store
        self.tasks: dict[str, Task] = {}
        self.runs: dict[str, tuple[Arm, int]] = {}
        self._settings: dict[str, dict[str, Any]] = {}

    def write_settings(self) -> None:
        """Write the settings of all tasks to their folders.

        Raises:
            ValueError: A task was started with other settings.
        """
        for name, conf in self._settings.items():
            folder = self.store.root / name
            if folder.with_name(f"{folder.name}.log").exists():
                check_same(folder, "train.yaml", conf)
            with atomic_write(folder / "train.yaml") as f:
                f.write(dump(conf))

    def add(self, arm: Arm, seed: int) -> None:
        """Add a run and, unless they are there already, what it needs."""
        name = self.store.arm_task(arm, seed)
        folder = self.store.root / name
        self.runs[name] = (arm, seed)
        if arm.translation is None:
            options = ["--seed", str(seed), "--output_dir", str(folder)]
            command = Command("translation", (*arm.program, *options))
            self.tasks[name] = Task(name, (command,))
            self._settings[name] = {"program": list(arm.program)}
            return
        conf = arm.translation.load(Path("."), self.store.share)
        options = [
            *("--expdir", str(folder)),
            *("--st_config", str(folder / "train.yaml")),
            *("--st_exp", str(folder / "translation")),
            *("--st_stats_dir", STATS.format(self.plan.vocabulary)),
            *("--tgt_nbpe", str(self.plan.vocabulary)),
            *("--inference_config", self.plan.decoding.config),
            *("--inference_tag", "decode"),
            *("--test_sets", DECODED),
        ]
        needs: list[str] = []
        if arm.student is not None:
            needs = self._add_student(arm.student, seed)
            best = str(self.store.best_student(arm.student, seed))
            options += ["--samu_model", best]
            if arm.student.kind == "ctc":
                # The part that was trained.
                behind = conf.get("encoder", "passthrough") != "passthrough"
                part = "encoder" if behind else "frontend"
                start = f"--seed {seed} --init_param {best}:{part}:{part}"
                options += ["--st_args", start]
        self.tasks[name] = Task(
            name,
            (
                Command("translation", self._run_sh(seed, 11, 11, *options)),
                Command("decoding", self._run_sh(seed, 12, 12, *options)),
            ),
            tuple(needs),
        )
        self._settings[name] = conf

    def _run_sh(
        self, seed: int, start: int, stop: int, *options: str
    ) -> tuple[str, ...]:
        """Return a call of run.sh."""
        gpus = ("--ngpu", str(self.store.ngpu), "--gpu_inference", "true")
        return (
            *("./run.sh", "--baseline", "false", "--seed", str(seed)),
            *("--stage", str(start), "--stop_stage", str(stop)),
            *(gpus if self.store.ngpu else ()),
            *options,
        )

    def _add_marked(
        self, name: str, commands: list[Command], needs: list[str], conf: dict
    ) -> list[str]:
        """Add a task that leaves a mark; return it as a need, unless it has left it."""
        folder = self.store.root / name
        mark = folder.with_name(f"{folder.name}.done")
        if mark.exists():
            check_same(folder, "train.yaml", conf)
            return []

        if name not in self.tasks:
            self.tasks[name] = Task(name, tuple(commands), tuple(needs))
            self._settings[name] = conf
        return [name]

    def _add_student(self, student: Student, seed: int) -> list[str]:
        """Add a student; return what has to be run for it."""
        name = self.store.student_task(student, seed)
        folder = self.store.root / name
        conf = student.step.load(Path("."), self.store.share)
        needs: list[str] = []
        if student.kind == "ctc":
            words = (
                *("local/train_ctc.sh", "--ctc_config", str(folder / "train.yaml")),
                *("--seed", str(seed), "--output_dir", str(folder / "student")),
                *("--ngpu", str(self.store.ngpu)),
            )
            commands = [Command("ctc", words)]
        else:
            if self.plan.teacher_updates is not None:
                if not folder.with_name(f"{folder.name}.done").exists():
                    needs = self._add_teacher(seed)
            commands = self._distil(student, seed, folder)
        return self._add_marked(name, commands, needs, conf)

    def _teacher(self, seed: int) -> str:
        """Return the name of a teacher: with its updates where they differ."""
        updates = self.plan.teacher_updates
        known = {s.get("teacher.updates") for s in self.store.stored.students.values()}
        return f"teachers/seed{seed}" + ("" if updates in known else f"+{updates}")

    def _add_teacher(self, seed: int) -> list[str]:
        """Add a teacher; return what has to be run for it."""
        name, updates = self._teacher(seed), self.plan.teacher_updates
        words = self._run_sh(
            *(seed, 6, 6),
            *("--expdir", str(self.store.root / name)),
            *("--samu_train_set", "samu_dev", "--retrieval_sets", "samu_dev"),
            *("--teacher_args", f"--updates {updates} --seed {seed}"),
        )
        commands = [Command("teacher", words)]
        return self._add_marked(name, commands, [], {"updates": updates})

    def _distil(self, student: Student, seed: int, folder: Path) -> list[Command]:
        """Return the commands of a distillation."""
        commands, sets = [], ("samu_train", "samu_dev")
        if not student.data.is_none:
            name = f"study/{'/'.join(folder.parts[-2:])}"
            words = (
                *("python3", "local/study_data.py", "--name", name),
                *("--seed", str(seed), *student.data.options()),
            )
            commands.append(Command("data", words))
            sets = (f"{name}/train", f"{name}/dev")
        label = "translation" if student.data.translate else "transcript"
        best = self.store.best_student(student, seed)
        options: tuple[str, ...] = (
            *("--samu_exp", str(folder / "student")),
            *("--samu_config", str(folder / "train.yaml")),
            *("--samu_train_set", sets[0], "--samu_valid_set", sets[1]),
            *("--samu_label", label, "--inference_samu_model", best.name),
        )
        steps = [("embedding", 6, 7), ("distillation", 8, 8), ("retrieval", 9, 9)]
        if self.plan.teacher_updates is None:
            # Its embeddings of the sets that students share are there already.
            shared = Path(self.plan.sets.concepts).parent
            options += ("--expdir", str(shared))
            options += ("--retrieval_sets", " ".join(self.plan.sets.retrieved))
            steps = steps[1:] if student.data.is_none else steps
        else:
            teacher = self.store.root / self._teacher(seed) / "teacher_small" / "model"
            options += ("--expdir", str(folder), "--teacher", str(teacher))
        for step, start, stop in steps:
            commands.append(Command(step, self._run_sh(seed, start, stop, *options)))
        if self.plan.sets.concepts:
            commands += self._retrieve_english(best.parent / f"retrieval_{best.stem}")
        return commands

    def _retrieve_english(self, folder: Path) -> list[Command]:
        """Return the commands that score speech among all English sentences."""
        concepts = Path(self.plan.sets.concepts)
        return [
            Command(
                "retrieval",
                (
                    *("python3", "-m", "espnet_samu.bin.score_retrieval"),
                    *("--query", str(folder / dset / "embed.scp")),
                    *("--query_lang", str(DATA / dset / "utt2lang")),
                    *("--query_text", str(DATA / dset / "text.tc.en")),
                    *("--target", str(concepts / "embed.scp")),
                    *("--target_text", str(concepts / "text")),
                    *("--projection", "none"),
                    *("--output_dir", str(folder / dset / ENGLISH)),
                ),
            )
            for dset in self.plan.sets.retrieved
        ]
