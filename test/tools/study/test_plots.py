"""Tests of study.plots."""

import re
from xml.etree import ElementTree

from espnet_samu.report.charts import Series
from espnet_samu.report.curves import Points, draw_xy
from study.plots import draw_forest, make_heat_table


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


def draw(lines, **kwargs):
    points = [
        Points("a", 0, [(0.0, 1.0), (5.0, 2.0), (10.0, 4.0)]),
        Points("others", None, [(2.0, 3.0)]),
    ]
    text = draw_xy("one", "Title", points, ("updates", "loss"), lines, "A.", **kwargs)
    return ElementTree.fromstring(text), text


def test_points_are_on_scale():
    svg, text = draw(lines=False)
    uses = [use for use in svg.iter("use") if "--series-0" in use.get("style", "")]
    x, y = ([float(use.get(axis)) for use in uses] for axis in "xy")
    assert len(uses) == 3
    assert abs((x[1] - x[0]) - (x[2] - x[1])) < 1e-3
    assert abs((y[0] - y[1]) * 2 - (y[1] - y[2])) < 1e-3
    assert text.count("--series-5") >= 1  # grey
    assert {"Title", "updates", "loss"} <= {e.text for e in svg.iter("text")}


def test_lines():
    svg, _ = draw(lines=True)
    paths = [p for p in svg.iter("path") if "--series-0" in p.get("style", "")]
    assert len(paths) == 1 and paths[0].get("d").count("L") == 2


def test_without_numbers():
    svg, _ = draw(lines=False, numbered=False)
    assert {e.text for e in svg.iter("text")} == {"Title", "updates", "loss"}


def test_cells_have_their_own_ground():
    values = {("es", "it"): 0.0, ("it", "es"): 99.6}
    text = make_heat_table("R@1 <%>", "", ["es", "it"], ["es", "it"], values)
    cells = re.findall(r"<td class=\"number\"(?: style=\"(.*?)\")?>(.*?)</td>", text)
    assert [number for _, number in cells] == ["-", "0", "100", "-"]
    # Both ends of viridis
    assert cells[1][0] == "background: #440154; color: #fff"
    assert cells[2][0].startswith("background: #fde725"[:14])
    assert cells[2][0].endswith("color: #000")
    assert cells[0][0] == ""
    assert "R@1 &lt;%&gt;" in text
