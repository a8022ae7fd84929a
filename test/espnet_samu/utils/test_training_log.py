"""Tests of espnet_samu.utils.training_log."""

import math

from espnet_samu.utils.training_log import parse_results, read_results

LINE = (
    "[node] 2026-01-01 10:00:00,000 (trainer:392) INFO: {}epoch results: [train] "
    "iter_time=0.2, loss={}, acc=0.000e+00, train_time=0.884, time=2.93 seconds, "
    "total_count=3, [valid] loss=95.447, acc_asr=nan, {}, time=0.6 seconds, "
    "total_count=3, [att_plot] time=1.2 seconds, total_count=2\n"
)


def test_one_line():
    results = parse_results(LINE.format(12, "1.740e+01", "acc=0.015"))
    assert results.epoch == 12 and results.score == "acc"
    assert results.train["loss"] == 17.4 and results.train["time"] == 2.93
    assert results.valid["loss"] == 95.447 and "acc_asr" not in results.valid
    # R@1 is what a distillation is followed by, whatever else it reports
    assert parse_results(LINE.format(1, 1.0, "batch_r1=1, r1=0.25")).score == "r1"
    assert parse_results(LINE.format(1, 1.0, "acc=nan, cer=0.1")).score is None
    assert parse_results("INFO: 2/2epoch started") is None
    assert math.isinf(parse_results(LINE.format(1, "inf", "acc=0")).train["loss"])


def write(path, *epochs):
    path.write_text(
        "".join(LINE.format(epoch, loss, "acc=0.5") for epoch, loss in epochs)
    )


def test_runs_that_went_on(tmp_path):
    """The launcher has renamed the logs of earlier runs."""
    # a longer training, whose folder was used again
    write(tmp_path / "train.2.log", *((n, 9.0) for n in range(1, 8)))
    write(tmp_path / "train.1.log", (1, 5.0), (2, 4.0), (3, 3.0))
    write(tmp_path / "train.log", (3, 2.5), (4, 2.0))
    results = read_results(tmp_path / "train.log")
    losses = [(r.epoch, r.train["loss"]) for r in results]
    assert losses == [(1, 5.0), (2, 4.0), (3, 2.5), (4, 2.0)]
    # one that found nothing to do
    (tmp_path / "train.log").rename(tmp_path / "train.3.log")
    (tmp_path / "train.log").write_text("INFO: The training has already reached\n")
    assert len(read_results(tmp_path / "train.log")) == 3
