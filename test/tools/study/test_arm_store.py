"""Tests of study.arm_store."""

import json
from pathlib import Path

import pytest

from espnet_samu.scoring.translation import SlotWords, slot_accuracy
from espnet_samu.utils.kaldi_io import write_text
from study.arm_store import (
    read_epochs,
    read_retrieval,
    read_utterances,
    score_utterances,
    versions,
)
from study.run_file import RunUtterance

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


def test_epochs_before_a_training_was_resumed(tmp_path: Path):
    """ESPnet's launcher has renamed the log of the run that was stopped."""
    *first, last = LOG.splitlines(keepends=True)
    (tmp_path / "train.1.log").write_text("".join(first), encoding="utf-8")
    (tmp_path / "train.log").write_text(last, encoding="utf-8")
    epochs = read_epochs(tmp_path / "train.log", ("loss", "r1"))
    assert [epoch["loss"] for epoch in epochs] == [0.25, 0.5]
    assert [epoch["updates"] for epoch in epochs] == [200, 400]


SLOTS = ["two", "ten", "may"]


def test_slots_are_counted_as_the_corpus_score_does():
    hyps = ["two ten messages", "ten two May", "", "two"]
    refs = ["ten messages", "two, ten of may", "may", "no slot"]
    slots = SlotWords(SLOTS)
    found = [RunUtterance.of("u", "it", r, h, slots) for h, r in zip(hyps, refs)]
    counts = [(utt.slots_right, utt.slots) for utt in found]
    assert counts == [(1, 1), (2, 3), (0, 1), (0, 0)]
    right, total = (sum(column) for column in zip(*counts))
    whole = slot_accuracy(hyps, refs, SLOTS)
    assert whole is not None and whole.value == right / total == 0.6


def test_translations_of_one_set_with_their_marks(tmp_path: Path):
    write_text(tmp_path / "text.tc.en", {"it-1": "two messages", "ru-1": "may ten"})
    write_text(tmp_path / "utt2lang", {"it-1": "it", "ru-1": "ru"})
    hyps = {"ru-1": "ten may", "it-1": "two  messages", "of another set": "x"}
    assert read_utterances(hyps, tmp_path, SLOTS) == [
        RunUtterance("it-1", "it", "two messages", "two  messages", 1, 1, 1),
        RunUtterance("ru-1", "ru", "may ten", "ten may", 0, 1, 2),
    ]
    with pytest.raises(ValueError, match="ru-1"):
        read_utterances({"it-1": "x"}, tmp_path, SLOTS)


def test_scores_by_language():
    ref = "you have two new messages"
    utterances = [
        RunUtterance("it-1", "it", ref, ref, 1, 1, 1),
        RunUtterance("ru-1", "ru", ref, "other words", 0, 0, 1),
    ]
    scores = score_utterances(utterances, SLOTS)
    assert scores["bleu"]["it"] == 100.0 and scores["bleu"]["ru"] < 10
    assert scores["exact_match"] == {"it": 1.0, "ru": 0.0}
    assert scores["slot_accuracy"] == {"it": 1.0, "ru": 0.0}


def test_retrieval_is_speech_to_text_by_language(tmp_path: Path):
    rows = [
        {"lang": lang, "direction": direction, "r1": r1}
        for lang, direction, r1 in (
            ("it", "speech-text", 0.75),
            ("it", "text-speech", 0.5),
            ("average", "speech-text", 0.1),
        )
    ]
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "retrieval.json").write_text(json.dumps({"scores": rows}))
    assert read_retrieval(tmp_path, ["test"]) == {"test": {"it": 0.75}}
    # Where speech was searched among all English sentences, too.
    rows[0]["target_lang"], rows[1]["target_lang"] = "all", "it"
    rows[1]["lang"] = "all"
    (tmp_path / "test" / "english").mkdir()
    (tmp_path / "test" / "english" / "retrieval.json").write_text(
        json.dumps({"scores": rows})
    )
    assert read_retrieval(tmp_path, ["test"]) == {
        "test": {"it": 0.75},
        "test, speech to English": {"it": 0.75},
        "test, English to speech": {"it": 0.5},
    }


def test_versions_have_what_scores_depend_on():
    assert {"espnet", "python", "sacrebleu", "torch"} < set(versions())
