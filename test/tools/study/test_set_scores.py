"""Tests of study.set_scores."""

import pytest

from study.set_scores import adjust


def test_holm_by_hand():
    # Sorted .01 .02 .03 .04: times 4, 3, 2, 1 and never less than the one before.
    assert adjust([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert adjust([0.5, 0.6]) == [1.0, 1.0]
    assert adjust([]) == []
