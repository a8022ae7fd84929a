"""Plots of a study: forests of differences, heat tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2.environment import TemplateModule
from markupsafe import Markup

from espnet_samu.report.charts import (
    FONT,
    INK,
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
