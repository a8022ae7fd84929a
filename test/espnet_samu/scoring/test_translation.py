import importlib.util
import json
import subprocess
import sys

import pytest

from espnet_samu.scoring.translation import (
    base_language,
    bleu,
    choose_tokenizer,
    chrf,
    exact_match,
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


@pytest.mark.parametrize("tgt_lang, extra", [("en", []), ("zh", ["--tokenize", "zh"])])
def test_equals_the_command_line(tmp_path, tgt_lang, extra):
    (tmp_path / "ref").write_text("\n".join(REFS) + "\n")
    (tmp_path / "hyp").write_text("\n".join(HYPS) + "\n")
    command = [sys.executable, "-m", "sacrebleu", "ref", "-i", "hyp", "-w", "15"]
    run = subprocess.run(
        [*command, "-m", "bleu", "chrf", *extra],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        check=True,
    )
    ours = (bleu(HYPS, REFS, tgt_lang)[0], chrf(HYPS, REFS))
    for score, theirs in zip(ours, json.loads(run.stdout), strict=True):
        assert score.name == theirs["name"]
        assert score.value == pytest.approx(theirs["score"], rel=0, abs=1e-14)
        assert score.signature == theirs["signature"]


def test_signatures_name_the_tokenizer():
    assert "case:mixed|eff:no|tok:13a" in bleu(HYPS, REFS)[0].signature
    assert "tok:zh" in bleu(["你好"], ["你好"], "zh-CN")[0].signature
    japanese = importlib.util.find_spec("MeCab") and importlib.util.find_spec("ipadic")
    assert choose_tokenizer("ja_XX") == ("ja-mecab" if japanese else "char")
    assert [base_language(x) for x in ("zh-CN", "en_XX", "cy")] == ["zh", "en", "cy"]


def test_length_ratio_and_exact_match_by_hand():
    # 13a tokens: 7 8 0 2 against 7 6 7 2
    assert bleu(HYPS, REFS)[1].value == pytest.approx(17 / 22)
    assert exact_match(HYPS, REFS).value == 0.25


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


def test_all_scores():
    assert "slot_accuracy" not in score_translation(HYPS, REFS)
    scores = score_translation(REFS, REFS, slot_words=["may"])
    assert {name: score.value for name, score in scores.items()} == {
        "bleu": pytest.approx(100),
        "chrf": pytest.approx(100),
        "length_ratio": 1.0,
        "exact_match": 1.0,
        "slot_accuracy": 1.0,
    }
    with pytest.raises(ValueError, match="as many hypotheses as references.* 1 and 4"):
        score_translation(["x"], REFS)
