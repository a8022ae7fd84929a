"""Tests of study.collect."""

import json
from pathlib import Path

import pytest

from espnet_samu.scoring.translation import slot_accuracy
from espnet_samu.utils.kaldi_io import write_text
from study.collect import (
    read_retrieval,
    read_utterances,
    score_utterances,
    versions,
)
from study.run_utterance import RunUtterance
from study.slots import count_slots

SLOTS = ["two", "ten", "may"]


def test_slots_are_counted_as_the_corpus_score_does():
    hyps = ["two ten messages", "ten two May", "", "two"]
    refs = ["ten messages", "two, ten of may", "may", "no slot"]
    counts = [count_slots(h, r, SLOTS) for h, r in zip(hyps, refs)]
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


def test_versions_have_what_scores_depend_on():
    assert {"espnet", "python", "sacrebleu", "torch"} < set(versions())
