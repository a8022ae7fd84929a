"""Plots of a study: forests of differences, lines and points, heat tables."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2.environment import TemplateModule
from markupsafe import Markup

from espnet_samu.report.charts import (
    FONT,
    GRID,
    INK,
    WIDTH,
    Series,
    describe,
    inline_svg,
    place_rows,
    series_colour,
)
from espnet_samu.report.page import load_macros

TEMPLATES = Path(__file__).parent / "templates"


def study_macros() -> TemplateModule:
    """Return the templates of a study's page; their macros are called as functions."""
    return load_macros("study.html", TEMPLATES)


LANE = 0.15  # inches, the height of a point with its number
GAP = 0.13  # inches between rows of another name
ZERO = (0, (4, 2))  # dashes of the line at zero


def draw_forest(
    name: str,
    title: str,
    categories: Sequence[str],
    series: Sequence[Series],
    digits: int = 1,
) -> Markup:
    """Draw points with their intervals, numbers at the right edge.

    Args:
        name: Word for the ids of the figure.
        title: What is shown.
        categories: Rows from top to bottom, at least one.
        series: Points of every row, at least one series.
        digits: Decimals of the numbers.
    """
    rows = place_rows(categories, len(series) * LANE, GAP)
    axes = rows.open_axes(right=0.48)  # numbers stand right of the axes
    numbers = [0.0]
    for category, top in zip(categories, rows.tops):
        for j, one in enumerate(series):
            if category not in one.values:
                continue
            place = top + (j + 0.5) * LANE
            value, colour = one.values[category], series_colour(one.colour)
            low, high = one.intervals.get(category, (value, value))
            numbers += [value, low, high]
            axes.plot([low, high], [place, place], color=colour, linewidth=1.6)
            axes.plot([value], [place], color=colour, marker="o", markersize=4.5)
            axes.annotate(
                f"{value:+.{digits}f}",
                (1.02, place),
                xycoords=("axes fraction", "data"),
                fontsize=FONT - 1,
                color=INK,
                va="center_baseline",
            )
    margin = 0.04 * (max(numbers) - min(numbers)) or 1.0
    axes.set_xlim(min(numbers) - margin, max(numbers) + margin)
    # Of the height of the points only: not through names that stand above them.
    ends = [top + rows.bars for top in rows.tops]
    axes.vlines(
        [0.0] * len(ends), rows.tops, ends, color=INK, linewidth=0.8, linestyle=ZERO
    )
    axes.locator_params(axis="x", nbins=5)
    rows.finish_axes(axes, title)
    return inline_svg(axes.figure, name, title, describe(categories, series, digits))


HEIGHT = 2.5  # inches
PALE = 5
"""Number of the colour, a grey, of what is behind the others."""


@dataclasses.dataclass(frozen=True)
class Points:
    """Pairs of numbers that belong together."""

    name: str
    """What they are."""
    colour: int | None
    """Number of its colour; None for the grey ones behind the others."""
    pairs: Sequence[tuple[float, float]]
    """The pairs, of a line in order."""


def draw_xy(
    name: str,
    title: str,
    points: Sequence[Points],
    axes_titles: tuple[str, str],
    lines: bool,
    description: str,
    numbered: bool = True,
) -> Markup:
    """Draw lines or points.

    Args:
        name: Word for the ids of the figure.
        title: What is shown.
        points: What is drawn.
        axes_titles: What the two axes are.
        lines: Whether points are joined.
        description: The same in words, with the numbers.
        numbered: Whether numbers stand at the axes.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, HEIGHT))
    left = 0.56 if numbered else 0.3
    axes = figure.add_axes(
        (left / WIDTH, 0.44 / HEIGHT, 1 - (left + 0.14) / WIDTH, 1 - 0.82 / HEIGHT)
    )
    for one in sorted(points, key=lambda one: one.colour is not None):
        pale = one.colour is None
        colour = series_colour(PALE if pale else one.colour)
        x, y = zip(*one.pairs) if one.pairs else ((), ())
        if lines:
            axes.plot(x, y, color=colour, linewidth=0.7 if pale else 1.6)
        else:
            size = 2.2 if pale else 4.0
            axes.plot(x, y, color=colour, linestyle="", marker="o", markersize=size)
    axes.set_xlabel(axes_titles[0], fontsize=FONT, color=INK, labelpad=2)
    axes.set_ylabel(axes_titles[1], fontsize=FONT, color=INK, labelpad=2)
    axes.tick_params(length=0, labelsize=FONT, labelcolor=INK)
    if numbered:
        axes.locator_params(nbins=5)
        axes.grid(color=GRID, linewidth=0.5)
        axes.set_axisbelow(True)
    else:
        axes.set_xticks([])
        axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)
    figure.text(0.01, 1 - 0.08 / HEIGHT, title, fontsize=FONT + 1, color=INK, va="top")
    return inline_svg(figure, name, title, description)


COLOURS = "viridis"


def _shade(share: float) -> str:
    """Return the style of a cell: its own ground, the same in the light and the dark.

    Args:
        share: Its number, 0 to 1.
    """
    import matplotlib
    from matplotlib.colors import to_hex, to_rgb

    ground = to_hex(matplotlib.colormaps[COLOURS](min(1.0, max(0.0, share))))
    # Relative luminance of WCAG: black reads better from 0.18 on.
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in to_rgb(ground)
    ]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return f"background: {ground}; color: {'#000' if luminance > 0.18 else '#fff'}"


def make_heat_table(
    caption: str,
    corner: str,
    rows: Sequence[str],
    columns: Sequence[str],
    values: Mapping[tuple[str, str], float],
) -> Markup:
    """Return the table; it scrolls by itself where the page is narrow.

    Args:
        caption: What the table shows.
        corner: What rows and columns are.
        rows: Names of the rows.
        columns: Names of the columns.
        values: Number of each cell, 0 to 100; some may lack.
    """
    body = []
    for row in rows:
        cells = []
        for column in columns:
            value = values.get((row, column))
            text = "-" if value is None else f"{value:.0f}"
            cells.append((text, "" if value is None else _shade(value / 100)))
        body.append((row, cells))
    return study_macros().heat_table(caption, corner, columns, body)
