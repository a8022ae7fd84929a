"""Tests of study.forest_plot."""

import re
from xml.etree import ElementTree

from espnet_samu.report.charts import Series
from study.forest_plot import draw_forest


def test_points_and_numbers():
    series = [
        Series("it", 0, {"k - c": 2.5, "c - b": 40.0}, {"k - c": (-1.0, 6.0)}),
        Series("ru", 1, {"k - c": -3.0}, {"k - c": (-8.0, 2.0)}),
    ]
    svg = ElementTree.fromstring(draw_forest("one", "BLEU", ["c - b", "k - c"], series))
    wanted = "c - b: it 40.0. k - c: it 2.5 (-1.0 to 6.0), ru -3.0 (-8.0 to 2.0)."
    assert svg.find("desc").text == wanted
    texts = [element.text for element in svg.iter("text")]
    assert {"+40.0", "+2.5", "-3.0", "c - b", "k - c", "BLEU", "0"} <= set(texts)
    text = ElementTree.tostring(svg, encoding="unicode")
    # Places of the three points, in the colours of the style sheet
    places = {"0": [], "1": []}
    for use in svg.iter("use"):
        colour = re.search(r"--series-(\d)", use.get("style", ""))
        if colour:
            places[colour[1]].append(float(use.get("x")))
    (forty, two), (minus,) = sorted(places["0"], reverse=True), places["1"]
    # One scale: 40 - 2.5 is as far as 37.5 / 5.5 times 2.5 + 3.
    assert abs((forty - two) / (two - minus) - 37.5 / 5.5) < 0.01
    assert "var(--grid)" in text and "currentColor" in text
