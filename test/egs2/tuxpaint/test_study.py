"""The plan of tuxpaint's study, and what its stored settings say."""

from pathlib import Path

import pytest

from study.arms import updates_of
from study.plan import Plan, read_plan
from study.stored_settings import StoredSettings, read_stored

RECIPE = Path(__file__).parents[3] / "egs2" / "tuxpaint" / "samu_st1"


@pytest.fixture(scope="module")
def plan() -> Plan:
    """The plan of the study."""
    return read_plan(RECIPE / "study" / "arms.yaml")


def test_registered(plan: Plan):
    pairs = [(one.arm, one.against) for one in plan.comparisons]
    assert pairs[:4] == [("c", "b"), ("c", "j"), ("k", "c"), ("c", "w")]
    longer = [("c_longer", "b_longer"), ("c_longer", "e_longer")]
    assert pairs[4:] == longer, "the second plan"
    assert plan.sets.tests[0] == "test_seen"
    seeds = {name: len(arm.seeds) for name, arm in plan.arms.items()}
    assert [seeds[name] for name in "bcwjke"] == [5, 5, 5, 3, 3, 3]
    assert [seeds[f"{name}_longer"] for name in "bce"] == [5, 5, 3]
    readme = (RECIPE / "study" / "README.md").read_text(encoding="utf-8")
    for name in plan.arms:
        assert f"`{name}`" in readme, name
    for one in plan.comparisons:
        assert one.name in readme and one.shows in readme


def test_arms_differ_by_what_they_are_to_differ_by(plan: Plan):
    trained = {n: a for n, a in plan.arms.items() if a.translation is not None}
    conf = {name: arm.translation.load(RECIPE) for name, arm in trained.items()}
    student = {
        arm.student.name: arm.student.step.load(RECIPE)
        for arm in trained.values()
        if arm.student is not None
    }
    updates = {name: updates_of(one) for name, one in conf.items()}
    assert {updates[name] for name in "ckje"} == {updates["c"]}
    assert {updates_of(one) for one in student.values()} == {updates_of(student["all"])}
    assert updates["b"] == updates["c"] + updates_of(student["all"])
    assert updates["c_longer"] == updates["e_longer"] == updates["b"]
    distilled = updates["c_longer"] + updates_of(student["all"])
    assert updates["b_longer"] == distilled
    for name, one in {**conf, **student}.items():
        for key in ("frontend_conf", "encoder", "encoder_conf", "batch_bins"):
            assert one[key] == student["all"][key], (name, key)
        cycle = one["scheduler_conf"]["first_cycle_steps"]
        assert cycle == updates_of(one) + 1, name
        assert one["scheduler_conf"]["max_lr"] == one["optim_conf"]["lr"], name
    for name in "bkj":
        assert conf[name]["decoder_conf"] == conf["c"]["decoder_conf"], name
    assert {**conf["j"], "init_from_samu": True} == conf["c"]
    assert conf["e"] == conf["c"] and conf["e_longer"] == conf["c_longer"]
    lengths = {name: conf["c"][name] for name in ("max_epoch", "scheduler_conf")}
    assert {**conf["c_longer"], **lengths} == conf["c"]
    lengths = {name: conf["b"][name] for name in ("max_epoch", "scheduler_conf")}
    assert {**conf["b_longer"], **lengths} == conf["b"]


def test_stored_settings_are_those_of_the_files(plan: Plan):
    stored = read_stored(RECIPE / "study" / "settings.json")
    assert StoredSettings.of(plan, RECIPE) == stored
