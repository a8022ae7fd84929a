"""Tests of study.stored_settings."""

from pathlib import Path

import pytest

from study.plan import read_plan
from study.stored_settings import (
    StoredSettings,
    differences,
    read_stored,
    settings_hash,
    write_stored,
)


def test_hash_depends_on_values_and_not_on_order():
    one = settings_hash({"a": 1, "b": 2.0})
    assert one == settings_hash({"b": 2.0, "a": 1}) and len(one) == 8
    assert one != settings_hash({"a": 1, "b": 2.5})


def test_differences_have_what_is_new_other_or_gone():
    assert differences({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 9, "d": 4}) == {
        "b": 2,
        "c": 3,
        "d": None,
    }


def test_changed_file_gives_another_name_to_arms_and_students(recipe: Path):
    plan = read_plan(recipe / "arms.yaml")
    train = (recipe / "samu.yaml").read_text(encoding="utf-8")
    stored = StoredSettings.of(plan, recipe)
    write_stored(recipe / "settings.json", stored)
    stored = read_stored(recipe / "settings.json")
    assert StoredSettings.of(plan, recipe) == stored
    assert stored.arm_name(stored, "g") == "g"

    text = train.replace("0.1", "0.3")
    (recipe / "samu.yaml").write_text(text, encoding="utf-8")
    now = StoredSettings.of(plan, recipe)
    changed = now.difference(stored, "g")
    assert changed == {"distillation.optim_conf.lr": 0.3, "hash": changed["hash"]}
    assert now.arm_name(stored, "g") == f"g+{changed['hash']}"
    assert now.student_name(stored, "part").startswith("part+")
    assert now.arm_name(stored, "b") == "b"  # it has no student

    (recipe / "samu.yaml").write_text(train, encoding="utf-8")
    text = train.replace("max_epoch: 2", "max_epoch: 3")
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
