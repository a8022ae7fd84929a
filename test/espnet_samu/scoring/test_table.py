"""Tests of espnet_samu.scoring.table."""

import pytest

from espnet_samu.scoring.table import format_number, format_table


def test_table():
    assert format_table(["name", "x"], [["a|b", "1"], ["c", "10"]]) == (
        "| name |  x |\n" "| ---- | -: |\n" "| a\\|b |  1 |\n" "| c    | 10 |\n"
    )
    with pytest.raises(ValueError):
        format_table(["a", "b"], [["1"]])


def test_numbers():
    assert format_number(None) == "-"
    assert format_number(36.05, 2) == "36.05"
