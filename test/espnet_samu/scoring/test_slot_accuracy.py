import pytest

from espnet_samu.scoring.slot_accuracy import (
    longest_common_subsequence,
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
