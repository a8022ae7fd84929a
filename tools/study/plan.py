"""The plan of a study: its arms, students and what they have in common."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from study.arms import Arm, Comparison, DataChange, EncoderSwap, Step, Student

_IMPLIED = {"losses.contrastive.symmetric": False}
"""Options that came after the first runs, with the value that those had without them.

They are left out, so that stored settings and hashes hold.
"""


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings by names with dots; an empty table is a value.

    Args:
        settings: Settings, nested.
        prefix: What every name begins with.
    """
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{prefix}{name}."))
        elif not _is_implied(f"{prefix}{name}", value):
            flat[f"{prefix}{name}"] = value
    return flat


def _is_implied(name: str, value: Any) -> bool:
    return any(
        name.endswith(option) and value == implied
        for option, implied in _IMPLIED.items()
    )


@dataclasses.dataclass(frozen=True)
class StudySets:
    """The data sets that the runs of a study are scored on."""

    tests: tuple[str, ...]
    """Sets that are translated; the registered comparisons are about the first one."""
    retrieved: tuple[str, ...]
    """Sets on which students are scored by retrieval."""
    concepts: str = ""
    """Folder of English sentences, text and embed.scp, that speech is to find, too."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What arms.yaml says."""

    arms: Mapping[str, Arm]
    """Arms by name; primary ones first."""
    sets: StudySets
    """Data sets."""
    comparisons: tuple[Comparison, ...]
    """The registered comparisons."""
    baselines: tuple[str, ...]
    """Arms that every other one is compared with."""
    pairs: tuple[tuple[str, str], ...]
    """Further arms to compare, and with which."""
    metrics: tuple[str, ...]
    """What translations are scored by, BLEU first."""
    shown: tuple[str, ...]
    """Arms that stand beside those of the comparisons in the report's first table."""
    vocabulary: int
    """Pieces of the translations' vocabulary."""
    decoding: Step
    """Settings of the beam search."""
    quick: Mapping[str, Any]
    """Of the quick study: `arms`, `seeds`, and `share` of the updates."""
    teacher_updates: int | None = None
    """Updates of the small teacher of each seed; None: one teacher for all, which is
    not trained."""

    def choose(self, names: list[str], seeds: list[int]) -> list[tuple[Arm, int]]:
        """Return arms with seeds in the order they should run.

        Primary arms come first, and seed by seed, so that a study that is stopped has
        as many seeds of one arm as of another; replications come last.

        Args:
            names: Arms; all of them by default.
            seeds: Seeds; for each arm those of the plan by default.

        Raises:
            ValueError: An arm is not in the plan.
        """
        if unknown := [name for name in names if name not in self.arms]:
            raise ValueError(f"--arms must be of {' '.join(self.arms)}: {unknown}")
        pairs = [
            (arm, seed)
            for name, arm in self.arms.items()
            if not names or name in names
            for seed in (seeds or (*arm.seeds, *arm.replication))
        ]
        return sorted(
            pairs,
            key=lambda pair: (
                pair[1] in pair[0].replication,
                not pair[0].primary,
                pair[1],
            ),
        )

    def student_settings(
        self, student: Student, recipe: Path, share: float = 1.0
    ) -> dict[str, Any]:
        """Return all settings that a student depends on, flat.

        Args:
            student: The student.
            recipe: Folder of the recipe.
            share: Share of the updates that are made.
        """
        flat = flatten(student.step.load(recipe, share), f"{student.kind}.")
        flat |= flatten(student.data.to_dict(), f"{student.kind}.data.")
        if student.kind == "distillation" and self.teacher_updates is not None:
            flat["teacher.updates"] = self.teacher_updates
        return flat

    def arm_settings(
        self, arm: Arm, recipe: Path, share: float = 1.0
    ) -> dict[str, Any]:
        """Return all settings that a run of an arm depends on, flat.

        Args:
            arm: The arm.
            recipe: Folder of the recipe.
            share: Share of the updates that are made.
        """
        if arm.translation is None:
            return {"program": list(arm.program)}
        flat = flatten(arm.translation.load(recipe, share), "translation.")
        flat |= flatten(self.decoding.load(recipe), "decoding.")
        flat["translation.vocabulary"] = self.vocabulary
        if arm.student is not None:
            flat |= self.student_settings(arm.student, recipe, share)
        return flat


def _table(what: str, table: Any, needed: set[str], optional: set[str]) -> dict:
    """Check the fields of a table.

    Raises:
        ValueError: Naming the table and its fields that are missing or not known.
    """
    if not isinstance(table, dict):
        raise ValueError(f"{what} must be a table: {table!r}")
    if missing := needed - set(table):
        raise ValueError(f"{what} lacks {sorted(missing)}")
    if unknown := set(table) - needed - optional:
        allowed = sorted(needed | optional)
        raise ValueError(f"{what} has {sorted(unknown)}; allowed are {allowed}")
    return table


def _step(what: str, table: Any, encoder: EncoderSwap | None) -> Step:
    """Return a training step of a table."""
    return Step(**_table(what, table, {"config"}, {"set"}), encoder=encoder)


def _student(name: str, table: Any, encoder: EncoderSwap | None) -> Student:
    """Return a student of a table."""
    what = f"student {name}"
    table = _table(what, table, {"kind", "config"}, {"set", "data"})
    data = _table(
        f"data of {what}",
        table.get("data", {}),
        set(),
        {field.name for field in dataclasses.fields(DataChange)},
    )
    data = {**data, "languages": tuple(data.get("languages", ()))}
    step = Step(table["config"], table.get("set", {}), encoder)
    return Student(name, table["kind"], step, DataChange(**data))


def read_plan(path: str | os.PathLike[str], encoder: EncoderSwap | None = None) -> Plan:
    """Read the plan of a study.

    Args:
        path: YAML file.
        encoder: Speech encoder that takes the place of the plan's in all arms.

    Raises:
        ValueError: Naming the file, and what is missing, not known or wrong in it.
    """
    with open(path, encoding="utf-8") as f:
        content = yaml.safe_load(f)
    try:
        names = {"common", "quick", "seeds", "students", "arms", "sets", "comparisons"}
        _table("the plan", content, names, {"baselines", "pairs", "metrics", "shown"})
        common = _table(
            "common",
            content["common"],
            {"vocabulary", "decoding"},
            {"teacher_updates"},
        )
        sets = _table("sets", content["sets"], {"tests", "retrieved"}, {"concepts"})
        seeds = _table("seeds", content["seeds"], {"primary", "other"}, set())
        quick = _table("quick", content["quick"], {"arms", "seeds", "share"}, set())
        students = {k: _student(k, v, encoder) for k, v in content["students"].items()}
        arms = []
        for name, table in content["arms"].items():
            table = _table(
                f"arm {name}",
                table,
                {"letter", "title", "what"},
                {"translation", "program", "student", "frozen", "primary"}
                | {"replication", "seeds"},
            )
            student = table.get("student")
            if student is not None and student not in students:
                raise ValueError(
                    f"student of arm {name} must be one of {[*students]}: '{student}'"
                )
            primary = table.get("primary", False)
            arm = Arm(
                name=name,
                letter=table["letter"],
                title=table["title"],
                what=table["what"],
                seeds=tuple(
                    table.get("seeds", seeds["primary" if primary else "other"])
                ),
                student=None if student is None else students[student],
                translation=(
                    _step(f"translation of arm {name}", table["translation"], encoder)
                    if "translation" in table
                    else None
                ),
                program=tuple(table.get("program", "").split()),
                frozen=table.get("frozen", False),
                primary=primary,
                replication=tuple(table.get("replication", ())),
            )
            arms.append(arm)
        arms.sort(key=lambda arm: not arm.primary)
        comparisons = []
        for name, table in content["comparisons"].items():
            table = _table(
                f"comparison {name}", table, {"arm", "against", "shows"}, set()
            )
            comparisons.append(Comparison(name, **table))
        plan = Plan(
            {a.name: a for a in arms},
            StudySets(
                tuple(sets["tests"]), tuple(sets["retrieved"]), sets.get("concepts", "")
            ),
            tuple(comparisons),
            tuple(content.get("baselines", ())),
            tuple((arm, against) for arm, against in content.get("pairs", ())),
            tuple(content.get("metrics", ("bleu", "exact_match", "slot_accuracy"))),
            tuple(content.get("shown", ())),
            decoding=Step(common.pop("decoding")),
            quick=quick,
            **common,
        )
        plan.choose(list(quick["arms"]), list(quick["seeds"]))
    except (ValueError, TypeError) as e:
        raise ValueError(f"{path}: {e}") from None
    return plan
