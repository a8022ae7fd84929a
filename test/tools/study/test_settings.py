"""Tests of study.settings."""

from pathlib import Path

import pytest

from study.settings import differences, flatten, merge, settings_hash
from study.step import Step, updates_of


def test_merge_replaces_values_and_keeps_what_is_beside_them():
    base = {"a": {"x": 1, "y": [1, 2]}, "b": 3}
    changes = {"a": {"y": [9]}, "c": {"z": 1}}
    merged = {"a": {"x": 1, "y": [9]}, "b": 3, "c": {"z": 1}}
    assert merge(base, changes) == merged
    assert base == {"a": {"x": 1, "y": [1, 2]}, "b": 3}


def test_flat_names_have_dots_and_empty_tables_stay():
    flat = flatten({"a": {"x": 1, "y": {}}, "b": [1]}, "st.")
    assert flat == {"st.a.x": 1, "st.a.y": {}, "st.b": [1]}


def test_what_stored_runs_did_without_an_option_is_left_out():
    losses = {"contrastive": {"weight": 1.0, "symmetric": False}}
    assert flatten({"losses": losses}) == {"losses.contrastive.weight": 1.0}
    losses["contrastive"]["symmetric"] = True
    assert flatten({"losses": losses})["losses.contrastive.symmetric"] is True


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


CONF = """
max_epoch: 6
num_iters_per_epoch: 200
optim_conf: {lr: 2.0e-3, weight_decay: 0.01}
scheduler_conf: {first_cycle_steps: 1201, warmup_steps: 50}
"""


def test_step_is_its_file_with_changes(tmp_path: Path):
    (tmp_path / "train.yaml").write_text(CONF, encoding="utf-8")
    conf = Step("train.yaml", {"optim_conf": {"lr": 1.0}}).load(tmp_path)
    assert conf["optim_conf"] == {"lr": 1.0, "weight_decay": 0.01}
    assert updates_of(conf) == 1200


def test_share_shortens_epochs_and_the_learning_rate_s_cycle(tmp_path: Path):
    (tmp_path / "train.yaml").write_text(CONF, encoding="utf-8")
    conf = Step("train.yaml").load(tmp_path, share=0.5)
    assert updates_of(conf) == 600
    assert conf["scheduler_conf"] == {"first_cycle_steps": 601, "warmup_steps": 25}
    step = Step("train.yaml", {"model_conf": {"freeze_encoder_updates": 600}})
    assert step.load(tmp_path, 0.5)["model_conf"] == {"freeze_encoder_updates": 300}


def test_step_without_a_table_and_conf_without_updates_are_refused(tmp_path: Path):
    (tmp_path / "train.yaml").write_text("[1]", encoding="utf-8")
    with pytest.raises(ValueError, match="train.yaml must be a table"):
        Step("train.yaml").load(tmp_path)
    with pytest.raises(ValueError, match="max_epoch and num_iters_per_epoch .* None"):
        updates_of({"max_epoch": 3})
