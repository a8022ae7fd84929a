"""Tests of espnet_samu.report.curves."""

import re
from xml.etree import ElementTree

import pytest

from espnet_samu.report.curves import make_curve_section
from espnet_samu.utils.training_log import EpochResults

RESULTS = [
    EpochResults(1, {"loss": 4.0}, {"loss": 3.0, "r1": 0.25}),
    EpochResults(2, {"loss": 2.0}, {"loss": 1.5, "r1": 0.75}),
    EpochResults(4, {"loss": 1.0}, {"loss": 2.0, "r1": 0.5}),
]


@pytest.fixture
def charts():
    """Charts of a distillation and of a training without a score."""
    plain = [EpochResults(1, {"loss": 1.0}, {"loss": 2.0})]
    section = make_curve_section({"one": RESULTS, "two": plain}, ["report"])
    assert section.title == "Learning curves"
    return ElementTree.fromstring(f"<div>{section.content}</div>").findall(".//svg")


def test_numbers_in_words(charts):
    assert [c.find("title").text for c in charts] == ["Loss", "R@1", "Loss"]
    assert [c.find("desc").text for c in charts] == [
        "validation: first 3 in epoch 1, best 1.5 in epoch 2, last 2 in epoch 4. "
        "training: first 4 in epoch 1, best 1 in epoch 4, last 1 in epoch 4.",
        "validation: first 0.25 in epoch 1, best 0.75 in epoch 2, last 0.5 in epoch 4.",
        "validation: first 2 in epoch 1, best 2 in epoch 1, last 2 in epoch 1. "
        "training: first 1 in epoch 1, best 1 in epoch 1, last 1 in epoch 1.",
    ]
    ids = [e.get("id") for chart in charts for e in chart.iter() if e.get("id")]
    assert len(ids) == len(set(ids))


def test_lines_are_to_scale(charts):
    places = []
    for path in charts[1].iter("path"):
        style = path.get("style", "")
        if "stroke: var(--series-0)" in style and "fill: none" in style:
            numbers = [*map(float, re.findall(r"-?[\d.]+", path.get("d")))]
            places = [*zip(numbers[::2], numbers[1::2])]
    (x1, y1), (x2, y2), (x4, y4) = places
    assert x4 - x2 == pytest.approx(2 * (x2 - x1), rel=1e-4)
    # upwards is less
    assert y1 - y2 == pytest.approx(2 * (y1 - y4), rel=1e-4)
