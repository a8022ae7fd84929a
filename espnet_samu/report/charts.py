"""Charts of the report: bars with intervals, as inline SVG, with their tables."""

import dataclasses
import io
import re
import textwrap
import unicodedata
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast
from xml.etree import ElementTree

from markupsafe import Markup

from espnet_samu.report.page import SERIES, load_macros, mark_control

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colours of a figure that the page's style sheet decides, light or dark
INK, GRID = "#0a0b01", "#0a0b02"
_STYLES = {INK: "currentColor", GRID: "var(--grid)"}


def series_colour(number: int) -> str:
    """Return the colour for matplotlib that becomes the style sheet's `--series-N`."""
    return f"#0a0c{number % SERIES:02x}"


def inline_svg(figure: "Figure", name: str, title: str, description: str) -> Markup:
    """Return a figure as an SVG element, with its text as text.

    Args:
        figure: Figure in the colours of this module.
        name: Word that no other figure of the page has: its ids start with it.
        title: What the figure shows.
        description: The same in words, with the numbers.
    """
    import matplotlib
    from matplotlib.text import Text

    buffer = io.StringIO()
    for label in figure.findobj(Text):
        label.set_parse_math(False)  # a name may have a dollar sign
    settings: Any = {
        **{"svg.fonttype": "none", "text.parse_math": False},
        "svg.hashsalt": name,  # the same figure is the same text, whenever it is made
    }
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # The fonts are the browser's.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(buffer, format="svg", transparent=True)
    root = ElementTree.fromstring(mark_control(buffer.getvalue()))
    for element in root.iter():
        # Within HTML the names need no namespaces.
        element.tag = element.tag.rpartition("}")[2]
        for key in [*element.attrib]:
            value = element.attrib.pop(key)
            value = re.sub(r"url\(#([^)]*)\)", rf"url(#{name}-\1)", value)
            for colour, style in _STYLES.items():
                value = value.replace(colour, style)
            value = re.sub(
                "#0a0c(..)", lambda c: f"var(--series-{int(c[1], 16)})", value
            )
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
        element.text = mark_control(text)
        root.insert(place, element)
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def make_legend(entries: Sequence[tuple[str, int, bool]]) -> Markup:
    """Return names with their colours.

    Args:
        entries: Name, number of the colour, whether it was published and is pale.
    """
    return load_macros("components.html").legend(entries)


def make_figure(
    charts: Sequence[Markup], legend: Markup, text: str, commands: Sequence[str]
) -> Markup:
    """Return charts with one legend and one caption.

    Args:
        charts: The charts, beside each other where there is room.
        legend: Their legend.
        text: The caption.
        commands: Commands that made the charts.
    """
    return load_macros("components.html").figure(charts, legend, text, commands)


WIDTH = 3.4  # inches; at 72 units an inch a page of 400 pixels has room for it
BAR = 0.135  # inches, the height of a bar with its number
GAP = 0.11  # inches between languages
FONT = 8  # points


def style_axes(axes: "Axes", title: str, grid: Literal["x", "both"] | None) -> None:
    """Write the title above the axes of a figure, and draw nothing but the grid.

    Args:
        axes: The only ones of their figure.
        title: What is shown.
        grid: Directions of its ticks that have lines.
    """
    axes.tick_params(length=0, labelsize=FONT, labelcolor=INK)
    if grid is not None:
        axes.grid(axis=grid, color=GRID, linewidth=0.5)
        axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)
    figure = cast("Figure", axes.figure)
    y = 1 - 0.08 / figure.get_figheight()
    figure.text(0.01, y, title, fontsize=FONT + 1, color=INK, va="top")


@dataclasses.dataclass(frozen=True)
class Series:
    """Numbers of one system."""

    name: str
    """Name of the system."""
    colour: int
    """Number of its colour."""
    values: Mapping[str, float]
    """Value by language; some may lack."""
    intervals: Mapping[str, tuple[float, float]] = dataclasses.field(
        default_factory=dict
    )
    """95 % interval by language."""
    published: bool = False
    """Whether it was not scored here: its bars are pale."""


BESIDE = 14  # characters of a name that stands left of its row; longer ones go above
ABOVE = 50  # characters of a line above a row
LINE = 0.15  # inches, the height of such a line
TITLE, TICKS = 0.34, 0.26  # inches above and below the axes


@dataclasses.dataclass(frozen=True)
class Rows:
    """Where the rows of a chart are, in inches from the left and from the top."""

    names: Sequence[str]
    """Names of the rows, broken into lines."""
    heads: Sequence[float]
    """Height of each name above its row; 0 where it stands beside it."""
    tops: Sequence[float]
    """Where the bars of each row begin."""
    bars: float
    """Height of the bars of a row."""
    left: float
    """Width that names beside the rows need."""
    height: float
    """Height of all rows."""

    @property
    def figure_height(self) -> float:
        """Inches from the title's top to the bottom of the ticks' labels."""
        return sum((TITLE, self.height, TICKS))

    def open_axes(self, right: float) -> "Axes":
        """Return the axes of a new figure, as high as the rows, below a title.

        Args:
            right: Inches that are left free right of the axes.
        """
        from matplotlib.figure import Figure

        height = self.figure_height
        return Figure(figsize=(WIDTH, height)).add_axes(
            (
                self.left / WIDTH,
                TICKS / height,
                (WIDTH - self.left - right) / WIDTH,
                self.height / height,
            )
        )

    def finish_axes(self, axes: "Axes", title: str) -> None:
        """Write title and names, draw the grid; the unit downwards is an inch."""
        axes.set_ylim(self.height, 0)
        self._write_names(axes)
        style_axes(axes, title, "x")

    def _write_names(self, axes: "Axes") -> None:
        """Write the names of the rows."""
        if self.heads[0] == 0.0:
            centres = [top + self.bars / 2 for top in self.tops]
            axes.set_yticks(centres, self.names, fontsize=FONT, color=INK)
            return
        axes.set_yticks([])
        for name, head, top in zip(self.names, self.heads, self.tops):
            axes.text(
                0,
                top - head,
                name,
                fontsize=FONT,
                color=INK,
                va="top",
                transform=axes.get_yaxis_transform(),
            )


def _columns(name: str) -> int:
    """Return the width of a name in letters; CJK characters have that of two."""
    return sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in name)


def place_rows(names: Sequence[str], bars: float, gap: float) -> Rows:
    """Place the rows of a chart; where a name is long, all stand above their rows.

    Args:
        names: Names of the rows from top to bottom, at least one.
        bars: Height of the bars of a row in inches.
        gap: Inches between rows.
    """
    longest = max(map(_columns, names))
    above = longest > BESIDE
    lines = [textwrap.fill(name, ABOVE) if above else name for name in names]
    heads = [LINE * (name.count("\n") + 1) if above else 0.0 for name in lines]
    tops, place = [], 0.0
    for head in heads:
        tops.append(place + gap / 2 + head)
        place += head + bars + gap
    left = 0.12 if above else 0.12 + 0.075 * longest
    return Rows(lines, heads, tops, bars, left, place)


def series_legend(series: Sequence[Series]) -> Markup:
    """Return the systems of a chart with their colours."""
    return make_legend([(one.name, one.colour, one.published) for one in series])


def describe(categories: Sequence[str], series: Sequence[Series], digits: int) -> str:
    """Return the numbers of a chart in words, with intervals where there are any."""
    sentences = []
    for category in categories:
        numbers = []
        for one in series:
            if category not in one.values:
                continue
            number = f"{one.name} {one.values[category]:.{digits}f}"
            if category in one.intervals:
                low, high = one.intervals[category]
                number += f" ({low:.{digits}f} to {high:.{digits}f})"
            numbers.append(number)
        sentences.append(f"{category}: {', '.join(numbers) or 'no value'}.")
    return " ".join(sentences)


def draw_bars(
    name: str,
    title: str,
    categories: Sequence[str],
    series: Sequence[Series],
    limit: float,
    digits: int = 1,
    mark: float | None = None,
) -> Markup:
    """Draw horizontal bars, languages from top to bottom.

    Args:
        name: Word for the ids of the figure.
        title: What is shown.
        categories: Languages, at least one.
        series: Systems, at least one.
        limit: Greatest value of the axis: charts beside each other share it.
        digits: Decimals of the numbers at the bars.
        mark: Value to draw a line at; numbers stand at the edge then, out of its way.
    """
    rows = place_rows(categories, len(series) * BAR, GAP)
    axes = rows.open_axes(right=0.38)  # numbers stand right of the bars
    for category, top in zip(categories, rows.tops):
        for j, one in enumerate(series):
            if category not in one.values:
                continue
            place = top + (j + 0.5) * BAR
            value, colour = one.values[category], series_colour(one.colour)
            alpha = 0.45 if one.published else 1.0
            axes.barh(place, value, height=0.9 * BAR, color=colour, alpha=alpha)
            end = value
            if category in one.intervals:
                low, high = one.intervals[category]
                axes.plot([low, high], [place, place], color=INK, linewidth=1)
                end = max(value, high)
            axes.text(
                (limit if mark is not None else end) + 0.015 * limit,
                place,
                f"{value:.{digits}f}",
                fontsize=FONT - 1,
                color=INK,
                va="center_baseline",
            )
    if mark is not None:
        axes.axvline(mark, color=INK, linewidth=0.8, linestyle=(0, (4, 2)))
    axes.set_xlim(0, limit)
    rows.finish_axes(axes, title)
    text = describe(categories, series, digits)
    return inline_svg(cast("Figure", axes.figure), name, title, text)
