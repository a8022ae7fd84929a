"""Tests of study.plan."""

import copy
from pathlib import Path

import pytest
import yaml

from study.costs import BESIDE, SECONDS_PER_UPDATE, TEACHER, estimate_hours
from study.data_change import DataChange
from study.plan import read_plan
from study.step import updates_of
from study.stored_settings import (
    StoredSettings,
    read_stored,
    write_stored,
)
from study.study_run import StudyRun
from study.task import Task

TRAIN = "max_epoch: 2\nnum_iters_per_epoch: 50\noptim_conf: {lr: 0.1}\n"
PLAN = {
    "common": {"teacher_updates": 400, "vocabulary": 140, "decoding": "decode.yaml"},
    "seeds": {"primary": [1, 2, 3], "other": [1]},
    "quick": {"arms": ["b"], "seeds": [1], "share": 0.5},
    "students": {
        "all": {"kind": "distillation", "config": "samu.yaml"},
        "part": {
            "kind": "distillation",
            "config": "samu.yaml",
            "set": {"pooling": "max"},
            "data": {"languages": ["es"], "keep": {"es": 0.1}},
        },
    },
    "arms": {
        "g": {
            "letter": "g",
            "what": "max pooling",
            "student": "part",
            "frozen": True,
            "translation": {"config": "st.yaml"},
        },
        "b": {
            "letter": "b",
            "primary": True,
            "what": "no distillation",
            "translation": {"config": "st.yaml", "set": {"optim_conf": {"lr": 0.2}}},
        },
        "c": {
            "letter": "c",
            "primary": True,
            "what": "distilled",
            "student": "all",
            "translation": {"config": "st.yaml"},
        },
    },
}


@pytest.fixture()
def recipe(tmp_path: Path) -> Path:
    """A folder of small configurations."""
    for name in ("samu", "st"):
        (tmp_path / f"{name}.yaml").write_text(TRAIN, encoding="utf-8")
    (tmp_path / "decode.yaml").write_text("beam_size: 5\n", encoding="utf-8")
    (tmp_path / "arms.yaml").write_text(yaml.safe_dump(PLAN, sort_keys=False))
    return tmp_path


def test_primary_arms_come_first_seed_by_seed(recipe: Path):
    plan = read_plan(recipe / "arms.yaml")
    order = [(arm.name, seed) for arm, seed in plan.choose([], [])]
    assert order == [
        *[("b", 1), ("c", 1), ("b", 2), ("c", 2), ("b", 3), ("c", 3)],
        ("g", 1),
    ]
    chosen = [(arm.name, seed) for arm, seed in plan.choose(["g", "b"], [7])]
    assert chosen == [("b", 7), ("g", 7)]
    with pytest.raises(ValueError, match=r"--arms must be of b c g: \['x'\]"):
        plan.choose(["x"], [])


def test_replication_runs_last_whatever_its_seeds(recipe: Path):
    plan = yaml.safe_load((recipe / "arms.yaml").read_text())
    plan["arms"]["b"]["replication"] = [4, 0]
    (recipe / "arms.yaml").write_text(yaml.safe_dump(plan, sort_keys=False))
    order = read_plan(recipe / "arms.yaml").choose([], [])
    assert [(arm.name, seed) for arm, seed in order[-3:]] == [
        ("g", 1),
        ("b", 0),
        ("b", 4),
    ]
    assert len(order) == 9


def test_settings_of_an_arm_are_those_of_all_its_steps(recipe: Path):
    plan = read_plan(recipe / "arms.yaml")
    assert plan.arm_settings(plan.arms["b"], recipe) == {
        "translation.max_epoch": 2,
        "translation.num_iters_per_epoch": 50,
        "translation.optim_conf.lr": 0.2,
        "translation.vocabulary": 140,
        "decoding.beam_size": 5,
    }
    settings = plan.arm_settings(plan.arms["g"], recipe)
    assert settings["distillation.pooling"] == "max"
    assert settings["distillation.data.languages"] == ["es"]
    assert settings["distillation.data.keep.es"] == 0.1
    assert settings["teacher.updates"] == 400


def test_changed_file_gives_another_name_to_arms_and_students(recipe: Path):
    plan = read_plan(recipe / "arms.yaml")
    stored = StoredSettings.of(plan, recipe)
    write_stored(recipe / "settings.json", stored)
    stored = read_stored(recipe / "settings.json")
    assert StoredSettings.of(plan, recipe) == stored
    assert stored.arm_name(stored, "g") == "g"

    text = TRAIN.replace("0.1", "0.3")
    (recipe / "samu.yaml").write_text(text, encoding="utf-8")
    now = StoredSettings.of(plan, recipe)
    changed = now.difference(stored, "g")
    assert changed == {"distillation.optim_conf.lr": 0.3, "hash": changed["hash"]}
    assert now.arm_name(stored, "g") == f"g+{changed['hash']}"
    assert now.student_name(stored, "part").startswith("part+")
    assert now.arm_name(stored, "b") == "b"  # it has no student

    (recipe / "samu.yaml").write_text(TRAIN, encoding="utf-8")
    text = TRAIN.replace("max_epoch: 2", "max_epoch: 3")
    (recipe / "st.yaml").write_text(text, encoding="utf-8")
    now = StoredSettings.of(plan, recipe)
    assert now.arm_name(stored, "g").startswith("g+")
    assert now.student_name(stored, "part") == "part"  # shared with the stored arm


def test_arm_without_stored_settings_is_refused(recipe: Path):
    plan = read_plan(recipe / "arms.yaml")
    now = StoredSettings.of(plan, recipe)
    none = read_stored(recipe / "settings.json")
    with pytest.raises(ValueError, match="arm 'b' has no stored settings"):
        now.arm_name(none, "b")
    (recipe / "settings.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ValueError, match="settings.json: not stored settings"):
        read_stored(recipe / "settings.json")


@pytest.mark.parametrize(
    "place, value, message",
    [
        (("arms", "b", "letter"), None, r"arm b lacks \['letter'\]"),
        (("arms", "c", "student"), "x", "student of arm c must be one of .*: 'x'"),
        (("arms", "b", "seed"), 1, r"arm b has \['seed'\]; allowed are"),
        (("students", "all", "kind"), "x", "kind of a student must be one of .*'x'"),
        (("students", "part", "data"), {"keep": {"es": 0}}, "keep of es must be above"),
        (("students", "part", "data"), {"x": 1}, r"data of student part has \['x'\]"),
        (("quick", "arms"), ["x"], r"--arms must be of b c g: \['x'\]"),
        (("common", "vocabulary"), None, r"common lacks \['vocabulary'\]"),
    ],
)
def test_fault_of_a_plan_is_named(place: tuple, value, message: str, recipe: Path):
    content = copy.deepcopy(PLAN)
    table = content
    for name in place[:-1]:
        table = table[name]
    if value is None:
        del table[place[-1]]
    else:
        table[place[-1]] = value
    (recipe / "arms.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(ValueError, match=f"arms.yaml: {message}"):
        read_plan(recipe / "arms.yaml")


def test_options_of_a_data_change():
    change = DataChange(("es", "fr"), {"it": 0.1, "es": 0.5}, shuffle=True)
    assert change.options() == [
        *("--languages", "es fr", "--keep", "es=0.5", "--keep", "it=0.1"),
        *("--shuffle", "true"),
    ]
    assert DataChange().is_none and not change.is_none
    with pytest.raises(ValueError, match="shuffle does not go with translate"):
        DataChange(shuffle=True, translate=True)


def test_hours_are_those_of_all_tasks_shared_by_the_jobs(recipe: Path):
    plan = read_plan(recipe / "arms.yaml")
    names = ("teachers/seed1", "students/all/seed1", "arms/c/seed1")
    tasks = [Task(name, ()) for name in names]
    per_update = SECONDS_PER_UPDATE["student"] + SECONDS_PER_UPDATE["trained"]
    seconds = TEACHER + 100 * per_update + 2 * BESIDE
    hours = estimate_hours(tasks, [], plan, recipe, jobs=2)
    assert hours == pytest.approx(seconds / 7200)


def test_hours_of_an_arm_are_those_that_its_runs_took(recipe: Path):
    plan = read_plan(recipe / "arms.yaml")
    seconds = {"translation": 3000.0, "decoding": 600.0}
    wanted = updates_of(plan.arms["c"].translation.load(recipe))
    # With twice the updates, translation took twice as long.
    for updates, hours in ((wanted, 1.0), (2 * wanted, (1500 + 600) / 3600)):
        settings, made = {"hash": "x"}, {"translation": updates}
        spent = {"updates": made, "seconds": seconds}
        run = StudyRun("c", "c", 1, settings, "failed", error="e", **spent)
        task = Task("arms/c+1234/seed2", ())
        assert estimate_hours([task], [run], plan, recipe) == hours
