"""Tests of study.xy_chart."""

from xml.etree import ElementTree

from study.xy_chart import Points, draw_xy


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
