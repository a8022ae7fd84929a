"""Tests of study.correlation."""

import pytest

from study.correlation import correlate

ARMS = ["b", "b", "c", "c", "d", "d"]


def test_spearman_by_hand():
    # Ranks 1 2 3 4 5 6 and 2 1 3 4 6 5: 1 - 6 * 4 / (6 * 35)
    found = correlate([1, 2, 3, 4, 5, 6], [20, 10, 30, 40, 60, 50], ARMS, 200)
    assert found.rho == pytest.approx(1 - 24 / 210)
    assert found.runs == 6 and found.arms == 3
    low, high = found.interval
    assert -1 <= low < found.rho < high <= 1
    assert found.to_dict()["measure"] == "Spearman's rho"


def test_perfect_order_has_no_width():
    found = correlate([1, 2, 3, 4, 5, 6], [1, 4, 9, 16, 25, 36], ARMS, 100)
    assert found.interval == pytest.approx((1.0, 1.0))


@pytest.mark.parametrize(
    "x, arms, rho",
    [([1, 1, 1], ["b", "c", "d"], None), ([1, 2, 3], ["b", "b", "c"], 1.0)],
)
def test_no_interval(x, arms, rho):
    found = correlate(x, [1, 2, 3], arms, 10)
    assert found.rho == (None if rho is None else pytest.approx(rho))
    assert found.interval is None


def test_no_run():
    assert correlate([], [], [], 10).rho is None
