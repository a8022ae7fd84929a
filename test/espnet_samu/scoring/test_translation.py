"""Tests of espnet_samu.scoring.translation."""

import json
import subprocess
import sys

import pytest

from espnet_samu.scoring import translation
from espnet_samu.scoring.translation import (
    MetricSettings,
    longest_common_subsequence,
    score_translation,
    slot_accuracy,
)

REFS = [
    "Monday, the fifth of May.",
    "You have twenty one new messages",
    "Wait 5 minutes and ten seconds!",
    "Good morning",
]
HYPS = [
    "Monday, the sixth of May.",
    "you have twenty new messages and one old",
    "",
    "Good  morning",
]


@pytest.mark.parametrize(
    "a, b, length",
    [("", "ab", 0), ("abcb", "bcab", 3), ("aab", "ab", 2), ("x", "y", 0)],
)
def test_longest_common_subsequence(a, b, length):
    assert longest_common_subsequence(a, b) == length
    assert longest_common_subsequence(b, a) == length


def test_slot_accuracy_by_hand():
    slots = ["Monday", "fifth", "sixth", "May", "twenty", "one", "5", "ten"]
    # Monday _ May: 2 of 3; twenty one: 2 of 2; nothing: 0 of 2; no slot: 0 of 0
    score = slot_accuracy(HYPS, REFS, slots)
    assert score.value == pytest.approx(4 / 7)
    assert score.signature == "nrefs:1|case:lc|punct:no|match:lcs|slotwords:8"
    # order counts: one of two
    assert slot_accuracy(["one twenty"], ["twenty-one"], slots).value == 0.5
    assert slot_accuracy(HYPS, REFS, ["never"]) is None


@pytest.mark.parametrize(
    "slots, hyp, ref, share",
    [
        # composed or not, full or half width
        ("caf\u00e9", "cafe\u0301", "caf\u00e9", 1.0),
        ("5", "\uff15", "5", 1.0),
        # vowel signs are part of the word
        ("हिन्दी", "वह हिन्दी है", "हिन्दी", 1.0),
        ("ह", "हिन्दी", "ह", 0.0),
        # without blanks, the longest first; digits are whole numbers
        ("五月 5月 月曜日", "今日は五月の月曜日です", "五月と月曜日", 1.0),
        ("五 五月", "五月", "五 五月", 0.5),
        ("5", "15月", "5月", 0.0),
        ("5", "我5月来", "5月", 1.0),
        ("ห้า", "รอห้านาที", "ห้านาที", 1.0),
        ("one", "someone", "one", 0.0),
    ],
)
def test_slots_of_any_script(slots, hyp, ref, share):
    assert slot_accuracy([hyp], [ref], slots.split()).value == share


def test_many_sentences_are_scored_as_a_whole(monkeypatch):
    refs, hyps = REFS * 5, [*HYPS, *REFS] * 2 + HYPS
    settings = MetricSettings(ALL)
    whole = score_translation(hyps, refs, settings=settings)
    monkeypatch.setattr(translation, "SENTENCES", 3)
    assert score_translation(hyps, refs, settings=settings) == whole


ALL = ("bleu", "chrf", "ter")


@pytest.mark.parametrize(
    "tgt_lang, extra",
    [
        ("en", []),
        ("zh", ["--tokenize", "zh", "--ter-asian-support", "--ter-normalized"]),
        ("ja", ["--tokenize", "char", "--ter-asian-support", "--ter-normalized"]),
    ],
)
def test_equals_the_command_line(tmp_path, tgt_lang, extra):
    refs = [*REFS, "我 今天 吃了一个 apple。", "5月5日です。"]
    hyps = [*HYPS, "今天 我 吃了两个 apple.", "5月6日です。"]
    (tmp_path / "ref").write_text("\n".join(refs) + "\n")
    (tmp_path / "hyp").write_text("\n".join(hyps) + "\n")
    command = [sys.executable, "-m", "sacrebleu", "ref", "-i", "hyp", "-w", "15"]
    run = subprocess.run(
        [*command, "-m", *ALL, "--ter-case-sensitive", *extra],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        check=True,
    )
    scores = score_translation(
        hyps, refs, tgt_lang, MetricSettings(ALL, tokenizers={"ja": "char"})
    )
    for field, theirs in zip(ALL, json.loads(run.stdout), strict=True):
        assert scores[field].name == theirs["name"]
        assert scores[field].value == pytest.approx(theirs["score"], rel=0, abs=1e-14)
        assert scores[field].signature == theirs["signature"]


def test_ter_by_hand():
    # 1 of 5 words; a word moved and one in its place: of 6: "you", + "and one old",
    # - "one"; 6 of 6 are missing; 0 of 2
    score = score_translation(HYPS, REFS, settings=MetricSettings(ALL))["ter"]
    edits = {"sixth": 1, "You": 1, "one": 1, "and": 1, "old": 1, "empty": 6}
    assert score.value == pytest.approx(100 * sum(edits.values()) / (5 + 6 + 6 + 2))
    assert "case:mixed|tok:tercom|norm:no|punct:yes|asian:no" in score.signature


def test_length_ratio_and_exact_match_by_hand():
    scores = score_translation(HYPS, REFS)
    # 13a tokens: 7 8 0 2 against 7 6 7 2
    assert scores["length_ratio"].value == pytest.approx(17 / 22)
    assert scores["exact_match"].value == 0.25
    assert "case:mixed|eff:no|tok:13a" in scores["bleu"].signature


def test_all_scores():
    settings = MetricSettings(ALL, slot_words=["may"])
    scores = score_translation(REFS, REFS, settings=settings)
    assert {name: score.value for name, score in scores.items()} == {
        "bleu": pytest.approx(100),
        "chrf": pytest.approx(100),
        "ter": 0.0,
        "length_ratio": 1.0,
        "exact_match": 1.0,
        "slot_accuracy": 1.0,
    }
    with pytest.raises(ValueError, match="as many hypotheses as references.* 1 and 4"):
        score_translation(["x"], REFS)
    with pytest.raises(ValueError, match="at least one: 0 and 0"):
        score_translation([], [])


def test_settings():
    assert "slot_accuracy" not in score_translation(HYPS, REFS)
    scores = score_translation(HYPS, REFS, settings=MetricSettings(("bleu",)))
    assert [*scores] == ["bleu", "length_ratio", "exact_match"]
    thai = MetricSettings(ALL, {"th": "char"})
    with pytest.raises(ValueError, match="cannot have 'ter' for target language 'th'"):
        score_translation(["ก"], ["ก"], "th", thai)
    with pytest.raises(ValueError, match="cannot have 'ter' for target language 'xx'"):
        MetricSettings(ALL, {"xx": "char"}).make_metrics("xx")
    assert [*MetricSettings(ALL, {"xx": "13a"}).make_metrics("xx")] == [*ALL]
    for metrics, message in (
        (("bleu", "meteor"), r"different ones of .*: \('bleu', 'meteor'\)"),
        (("bleu", "bleu"), r"different ones of .*: \('bleu', 'bleu'\)"),
        (("chrf",), r"must have 'bleu'.*: \('chrf',\)"),
    ):
        with pytest.raises(ValueError, match=message):
            MetricSettings(metrics)
