"""Tests of study.encoder_swap."""

from pathlib import Path

import pytest
import yaml

from study.encoder_swap import EncoderSwap, read_encoder
from study.step import Step

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
