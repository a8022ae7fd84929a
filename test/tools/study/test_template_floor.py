"""Tests of study.template_floor."""

import pytest

from study.run_utterance import RunUtterance
from study.template_floor import make_floor

UTTERANCES = [
    RunUtterance("i1", "it", "ten hours", "x", 0, 0, 1),
    RunUtterance("i2", "it", "two hours", "y", 0, 0, 1),
]


def test_floor():
    texts = {"i1": "ten  hours", "i2": "nine hours", "other": "z"}
    first, second = make_floor(UTTERANCES, texts, ["two", "nine", "ten"])
    assert (first.hyp, first.exact, first.slots_right, first.slots) == (
        *("ten  hours", 1, 1, 1),
    )
    assert (second.ref, second.exact, second.slots_right) == ("two hours", 0, 0)
    assert make_floor(UTTERANCES, texts)[0].slots == 0


def test_every_utterance_is_needed():
    with pytest.raises(ValueError, match="--floor .*1 are not in it, e.g. 'i2'"):
        make_floor(UTTERANCES, {"i1": "ten hours"})
