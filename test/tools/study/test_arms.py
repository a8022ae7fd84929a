"""Tests of study.arms."""

from pathlib import Path

import pytest
import yaml

from study.arms import (
    DataChange,
    EncoderSwap,
    Step,
    merge,
    read_encoder,
    updates_of,
)

SMALL = {
    "frontend": "samu",
    "frontend_conf": {"model_conf": {"model_type": "wav2vec2-bert"}},
    "max_epoch": 9,
    "num_iters_per_epoch": 200,
    "batch_bins": 1000,
    "pooling": "max",
    "optim": "adam",
    "optim_conf": {"lr": 1.0e-3},
    "scheduler": "cosine",
    "scheduler_conf": {"max_lr": 1.0e-3, "warmup_steps": 100},
}
LARGE = {
    **SMALL,
    "frontend_conf": {"model": "large", "dtype": "bfloat16"},
    "batch_bins": 500,
    "pooling": "attention",
    "optim": "adamw",
    "optim_conf": {"lr": 1.0e-5},
    "scheduler_conf": {"max_lr": 1.0e-5, "warmup_steps": 300},
}
SWAP = EncoderSwap("large.yaml", LARGE)


def translation(**conf) -> dict:
    return {**SMALL, "decoder": "mbart", "max_epoch": 6, **conf}


def test_distillation_gets_encoder_batches_and_schedule():
    conf = SWAP.apply(SMALL, "small.yaml")
    assert conf == {**LARGE, "pooling": "max"}  # the rest is the arm's own
    assert SMALL["batch_bins"] == 1000


@pytest.mark.parametrize(
    "conf, lr",
    [
        ({"frontend_conf": {"freeze": False}}, 1.0e-5),
        ({"frontend_conf": {}, "trainable": {"encoder": "lna_e"}}, 1.0e-5),
        ({"frontend_conf": {"freeze": True}}, 1.0e-3),
        ({"frontend_conf": {}, "trainable": "adapters"}, 1.0e-3),
    ],
)
def test_translation_gets_the_rate_where_it_trains_the_encoder(conf, lr):
    conf = translation(**conf)
    swapped = SWAP.apply(conf, "st.yaml")
    assert swapped["optim_conf"] == {"lr": lr}
    assert swapped["scheduler_conf"] == {"max_lr": lr, "warmup_steps": 100}
    assert swapped["max_epoch"] == 6 and swapped["batch_bins"] == 500
    freeze = {k: v for k, v in conf["frontend_conf"].items() if k == "freeze"}
    assert swapped["frontend_conf"] == {**LARGE["frontend_conf"], **freeze}


def test_other_number_of_updates_is_refused():
    swap = EncoderSwap("large.yaml", {**LARGE, "num_iters_per_epoch": 100})
    with pytest.raises(ValueError, match=r"large.yaml: num_iters.* of small.yaml, 200"):
        swap.apply(SMALL, "small.yaml")


def test_what_an_arm_sets_stays(tmp_path: Path):
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SMALL), encoding="utf-8")
    conf = Step("small.yaml", {"pooling": "mean"}, SWAP).load(tmp_path, 0.5)
    assert conf["pooling"] == "mean" and conf["num_iters_per_epoch"] == 100
    assert conf["scheduler_conf"]["warmup_steps"] == 150


def test_files_that_are_none_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="--encoder: no file .*xlsr.yaml"):
        read_encoder(tmp_path / "xlsr.yaml")
    path = tmp_path / "st.yaml"
    path.write_text("frontend: samu\n", encoding="utf-8")
    with pytest.raises(ValueError, match="st.yaml: a distillation's settings need"):
        read_encoder(path)


def test_merge_replaces_values_and_keeps_what_is_beside_them():
    base = {"a": {"x": 1, "y": [1, 2]}, "b": 3}
    changes = {"a": {"y": [9]}, "c": {"z": 1}}
    merged = {"a": {"x": 1, "y": [9]}, "b": 3, "c": {"z": 1}}
    assert merge(base, changes) == merged
    assert base == {"a": {"x": 1, "y": [1, 2]}, "b": 3}


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


def test_options_of_a_data_change():
    change = DataChange(("es", "fr"), {"it": 0.1, "es": 0.5}, shuffle=True)
    assert change.options() == [
        *("--languages", "es fr", "--keep", "es=0.5", "--keep", "it=0.1"),
        *("--shuffle", "true"),
    ]
    assert DataChange().is_none and not change.is_none
    with pytest.raises(ValueError, match="shuffle does not go with translate"):
        DataChange(shuffle=True, translate=True)
