"""Tests of study.plan."""

from pathlib import Path

import pytest
import yaml

from study.plan import flatten, read_plan


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


@pytest.mark.parametrize(
    "place, value, message",
    [
        (("arms", "b", "letter"), None, r"arm b lacks \['letter'\]"),
        (("arms", "c", "student"), "x", "student of arm c must be one of .*: 'x'"),
        (("arms", "b", "seed"), 1, r"arm b has \['seed'\]; allowed are"),
        (("students", "all", "kind"), "x", "kind of a student must be one of .*'x'"),
        (("students", "part", "data"), {"keep": {"es": 0}}, "keep of es must be above"),
        (("students", "part", "data"), {"x": 1}, r"data of student part has \['x'\]"),
        (("arms", "b", "translation"), None, "arm b needs translation or program"),
        (("arms", "b", "program"), "x", "arm b needs translation or program"),
        (("comparisons", "H1", "shows"), None, r"comparison H1 lacks \['shows'\]"),
        (("quick", "arms"), ["x"], r"--arms must be of b c g: \['x'\]"),
        (("common", "vocabulary"), None, r"common lacks \['vocabulary'\]"),
    ],
)
def test_fault_of_a_plan_is_named(place: tuple, value, message: str, recipe: Path):
    content = yaml.safe_load((recipe / "arms.yaml").read_text())
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


def test_flat_names_have_dots_and_empty_tables_stay():
    flat = flatten({"a": {"x": 1, "y": {}}, "b": [1]}, "st.")
    assert flat == {"st.a.x": 1, "st.a.y": {}, "st.b": [1]}


def test_what_stored_runs_did_without_an_option_is_left_out():
    losses = {"contrastive": {"weight": 1.0, "symmetric": False}}
    assert flatten({"losses": losses}) == {"losses.contrastive.weight": 1.0}
    losses["contrastive"]["symmetric"] = True
    assert flatten({"losses": losses})["losses.contrastive.symmetric"] is True
