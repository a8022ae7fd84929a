"""A figure of matplotlib as SVG inside a page."""

import io
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from espnet_samu.report.html import Html

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Colours of a figure that the page's style sheet decides, light or dark
INK, GRID = "#0a0b01", "#0a0b02"
_STYLES = {INK: "currentColor", GRID: "var(--grid)"}
_SERIES = "#0a0c{:02x}"
SERIES = 6  # colours that the style sheet has


def series_colour(number: int) -> str:
    """Return the colour for matplotlib that becomes the style sheet's `--series-N`."""
    return _SERIES.format(number % SERIES)


def inline_svg(figure: "Figure", name: str, title: str, description: str) -> Html:
    """Return a figure as an SVG element, with its text as text.

    Args:
        figure: Figure in the colours of this module.
        name: Word that no other figure of the page has: its ids start with it.
        title: What the figure shows.
        description: The same in words, with the numbers.
    """
    import matplotlib

    buffer = io.StringIO()
    # hashsalt: the same figure is the same text, whenever it is made.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True)
    root = ElementTree.fromstring(buffer.getvalue())
    for element in root.iter():
        # Within HTML the names need no namespaces.
        element.tag = element.tag.rpartition("}")[2]
        for key in [*element.attrib]:
            value = element.attrib.pop(key)
            value = re.sub(r"url\(#([^)]*)\)", rf"url(#{name}-\1)", value)
            for colour, style in _STYLES.items():
                value = value.replace(colour, style)
            for number in range(SERIES):
                colour = _SERIES.format(number)
                value = value.replace(colour, f"var(--series-{number})")
            # The page's own font instead of matplotlib's list of them
            value = re.sub(
                r"(font: (?:\S+ )*?[\d.]+px) [^;]*", r"\1 system-ui, sans-serif", value
            )
            if key == "id":
                value = f"{name}-{value}"
            local = key.rpartition("}")[2]
            if local == "href":
                value = f"#{name}-{value[1:]}"
            element.set(local, value)
    for metadata in root.findall("metadata"):
        root.remove(metadata)
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-desc")
    for place, (part, text) in enumerate((("title", title), ("desc", description))):
        element = ElementTree.Element(part, {"id": f"{name}-{part}"})
        element.text = text
        root.insert(place, element)
    return Html(ElementTree.tostring(root, encoding="unicode"))
