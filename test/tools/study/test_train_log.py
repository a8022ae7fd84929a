"""Tests of study.train_log."""

from pathlib import Path

from study.train_log import read_epochs

LOG = """# started
[host] 2026-11-22 17:36:44,330 (trainer:322) INFO: 1/2epoch started.
[host] 2026-11-22 17:36:44,330 (trainer:810) INFO: 1epoch:train:1-50batch: loss=9.0
[host] 2026-11-22 17:36:44,330 (trainer:392) INFO: 1epoch results: [train] \
iter_time=0.010, loss=3.495, cos_right=0.094, optim0_lr0=8.233e-04, time=1 minute \
and 43.86 seconds, total_count=200, [valid] loss=2.5e-01, cos_right=0.2, r1=nan, \
time=4.39 seconds, total_count=16, [att_plot] time=3 seconds, total_count=0
[host] 2026-11-22 17:36:44,330 (trainer:392) INFO: 2epoch results: [train] loss=3.0, \
total_count=400, [valid] loss=0.5, cos_right=0.4, r1=0.75, total_count=32
"""


def test_validation_and_training_figures_of_every_epoch(tmp_path: Path):
    (tmp_path / "train.log").write_text(LOG, encoding="utf-8")
    epochs = read_epochs(tmp_path / "train.log", ("loss", "cos_right", "r1"))
    assert epochs == [
        {
            "epoch": 1,
            "updates": 200,
            "train_loss": 3.495,
            "train_cos_right": 0.094,
            "loss": 0.25,
            "cos_right": 0.2,
        },
        {
            "epoch": 2,
            "updates": 400,
            "train_loss": 3.0,
            "loss": 0.5,
            "cos_right": 0.4,
            "r1": 0.75,
        },
    ]


def test_epoch_that_was_repeated_counts_once(tmp_path: Path):
    again = LOG + LOG.splitlines()[-1].replace("loss=0.5", "loss=0.7") + "\n"
    (tmp_path / "train.log").write_text(again, encoding="utf-8")
    epochs = read_epochs(tmp_path / "train.log", ("loss",))
    assert [epoch["loss"] for epoch in epochs] == [0.25, 0.7]
