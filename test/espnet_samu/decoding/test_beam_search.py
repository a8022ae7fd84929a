"""Tests of espnet_samu.decoding.beam_search."""

from espnet_samu.decoding.beam_search import EndedHypotheses


def ended(size=2, longest=10, length_penalty=1.0, bonus=0.0):
    return EndedHypotheses(size, longest, length_penalty, bonus)


def test_keeps_the_best():
    best = ended()
    best.add([1], 2, -4.0)
    best.add([1, 2, 3], 4, -4.0)
    best.add([5, 6], 3, -4.5)
    # means -2, -1, -1.5
    assert [h.tokens for h in best.best] == [[1, 2, 3], [5, 6]]
    assert [h.score for h in best.best] == [-1.0, -1.5]
    assert [h.length for h in best.best] == [4, 3]


def test_complete_by_means():
    best = ended()
    best.add([1], 2, -2.0)
    assert not best.is_complete(-100.0, 3)
    best.add([1, 2], 3, -6.0)
    # the worst of the two has -2
    assert not best.is_complete(-7.9, 4)
    assert best.is_complete(-8.0, 4)


def test_complete_by_sums():
    best = ended(size=3, length_penalty=0.0)
    for score in (-2.0, -3.0, -4.0):
        best.add([1], 2, score)
    assert not best.is_complete(-3.9, 5)
    assert best.is_complete(-4.0, 5)
    # five more tokens may bring 0.5 each
    best = ended(size=3, length_penalty=0.0, bonus=0.5)
    for score in (-2.0, -3.0, -4.0):
        best.add([1], 2, score)
    assert not best.is_complete(-6.4, 5)
    assert best.is_complete(-6.5, 5)


def test_greedy_ends_at_the_first_end():
    best = ended(size=1)
    assert not best.is_complete(-1.0, 1)
    best.add([1], 2, -9.0)
    assert best.is_complete(-1.0, 2)
