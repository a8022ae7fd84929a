"""Tests of espnet_samu.report.charts."""

import re
from xml.etree import ElementTree

import pytest
from markupsafe import Markup

from espnet_samu.report import page
from espnet_samu.report.charts import LINE, Series, draw_bars, place_rows

SERIES = [
    Series("ours", 0, {"fr": 20.0, "de": 10.0}, {"fr": (18.0, 24.0)}),
    Series("theirs", 1, {"fr": 40.0}, published=True),
]


@pytest.fixture
def svg():
    """A chart of two languages."""
    chart = draw_bars("one", "BLEU: <high>", ["fr", "de"], SERIES, limit=40.0)
    return ElementTree.fromstring(chart)


def _bars(svg):
    """Width of every bar by its colour, from top to bottom."""
    bars = []
    for path in svg.iter("path"):
        style = path.get("style", "")
        if colour := re.search(r"fill: (var\(--series-\d\))", style):
            numbers = [*map(float, re.findall(r"-?[\d.]+", path.get("d")))]
            xs, ys = numbers[::2], numbers[1::2]
            bars.append((min(ys), colour[1], max(xs) - min(xs), "opacity" in style))
    return [bar[1:] for bar in sorted(bars)]


def test_bars_are_to_scale(svg):
    bars = _bars(svg)
    colours = ["var(--series-0)", "var(--series-1)", "var(--series-0)"]
    assert [colour for colour, _, _ in bars] == colours
    widths = [width for _, width, _ in bars]
    assert widths[1] / widths[0] == pytest.approx(2, abs=1e-4)
    assert widths[0] / widths[2] == pytest.approx(2, abs=1e-4)
    assert [pale for _, _, pale in bars] == [False, True, False]


def test_text_is_text(svg):
    texts = ["".join(element.itertext()).strip() for element in svg.iter("text")]
    for wanted in ("fr", "de", "20.0", "10.0", "40.0", "BLEU: <high>"):
        assert wanted in texts
    assert svg.find("title").text == "BLEU: <high>"
    wanted = "fr: ours 20.0 (18.0 to 24.0), theirs 40.0. de: ours 10.0."
    assert svg.find("desc").text == wanted
    assert svg.get("role") == "img"
    assert svg.get("aria-labelledby") == "one-title one-desc"


def test_fits_a_page(svg):
    text = ElementTree.tostring(svg, encoding="unicode")
    # All colours are the style sheet's, every id is this figure's own.
    assert not re.search(r"#[0-9a-f]{6}\b", text)
    assert "http" not in text and "xmlns" not in text and "metadata" not in text
    ids = [element.get("id") for element in svg.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert all(name.startswith("one-") for name in ids)
    for name in re.findall(r"url\(#([^)]*)\)", text):
        assert name in ids
    assert svg.get("viewBox") and svg.get("width") is None
    again = draw_bars("one", "BLEU: <high>", ["fr", "de"], SERIES, limit=40.0)
    assert ElementTree.tostring(ElementTree.fromstring(again), "unicode") == text


def test_names_are_text():
    """No formulas, no control characters, no limit of length."""
    names = ["$\\frac$", "a\x01b", "中文-fr", "x" * 70, "<b>", "#,%{}"]
    ours = Series("$o_{", 0, dict.fromkeys(names, 1.0))
    for some in (names, names[:3]):
        chart = ElementTree.fromstring(draw_bars("a", "$t^", some, [ours], 2.0))
        texts = "".join("".join(e.itertext()) for e in chart.iter("text"))
        for name in some:
            assert name.replace("\x01", "\ufffd")[:50] in texts
        assert "$t^" in texts and "$o_{ 1.0" in chart.find("desc").text


def test_every_series_has_its_colour():
    text = page.make_page("t", Markup(), [])
    colours = re.findall(r"--series-(\d+): ([^;]+);", text)
    assert [int(n) for n, _ in colours] == [*range(page.SERIES)] * 2
    for half in (colours[: page.SERIES], colours[page.SERIES :]):  # light, dark
        assert len({colour for _, colour in half}) == page.SERIES > 20
    many = [Series(f"s{i}", i, {"fr": 1.0 + i}) for i in range(12)]
    svg = ElementTree.fromstring(draw_bars("a", "t", ["fr"], many, 12.0))
    fills = [p.get("style") for p in svg.iter("path") if "--series" in str(p.attrib)]
    assert len({re.search(r"--series-\d+", fill)[0] for fill in fills}) == 12


def test_mark_and_nothing_known():
    marked = draw_bars("a", "t", ["fr"], [Series("o", 0, {"fr": 0.9})], 1.2, 2, 1.0)
    assert "stroke-dasharray" in marked and ">0.90<" in marked
    bare = draw_bars("b", "t", ["xx"], SERIES, 1.0)
    assert _bars(ElementTree.fromstring(bare)) == []
    assert "xx: no value." in bare


def test_long_names_stand_above_their_rows():
    short = place_rows(["es", "fr"], 0.5, 0.1)
    assert short.heads == [0.0, 0.0] and short.tops == pytest.approx([0.05, 0.65])
    assert short.height == pytest.approx(1.2)
    long = place_rows(["distilled, frozen (c)", "x " * 40], 0.5, 0.1)
    assert long.names[1].count("\n") == 1 and long.heads == [LINE, 2 * LINE]
    assert long.tops == pytest.approx([0.05 + LINE, 0.65 + 3 * LINE])
    assert long.height == pytest.approx(1.2 + 3 * LINE) and long.left < short.left
    names = ["distilled, frozen (c)", "es"]
    series = [Series("a", 0, dict.fromkeys(names, 10.0))]
    svg = ElementTree.fromstring(draw_bars("one", "BLEU", names, series, 20.0))
    places = {
        text.text: (text.get("x"), float(text.get("y")))
        for text in svg.iter("text")
        if text.text in names
    }
    first, second = (places[name] for name in names)
    assert first[0] == second[0] and first[1] < second[1]
