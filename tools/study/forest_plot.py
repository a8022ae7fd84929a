"""Differences with their intervals, one below the other, beside a line at zero."""

from collections.abc import Sequence

from espnet_samu.report.charts import (
    FONT,
    GRID,
    INK,
    WIDTH,
    Series,
    describe,
    inline_svg,
    series_colour,
)
from espnet_samu.report.page import Html

LANE = 0.15  # inches, the height of a point with its number
GAP = 0.13  # inches between rows of another name


def draw_forest(
    name: str,
    title: str,
    categories: Sequence[str],
    series: Sequence[Series],
    digits: int = 1,
) -> Html:
    """Draw points with their intervals, numbers at the right edge.

    Args:
        name: Word for the ids of the figure.
        title: What is shown.
        categories: Rows from top to bottom, at least one.
        series: Points of every row, at least one series.
        digits: Decimals of the numbers.
    """
    from matplotlib.figure import Figure

    lane = len(series) * LANE + GAP
    heights = {"top": 0.34, "axes": len(categories) * lane, "bottom": 0.26}
    height = sum(heights.values())
    left = 0.12 + 0.075 * max(map(len, categories))
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_axes(
        (
            left / WIDTH,
            heights["bottom"] / height,
            (WIDTH - left - 0.48) / WIDTH,  # numbers stand right of the axes
            heights["axes"] / height,
        )
    )
    numbers = [0.0]
    for i, category in enumerate(categories):
        for j, one in enumerate(series):
            if category not in one.values:
                continue
            place = i * lane + GAP / 2 + (j + 0.5) * LANE
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
    axes.set_ylim(heights["axes"], 0)
    axes.axvline(0, color=INK, linewidth=0.8, linestyle=(0, (4, 2)))
    centres = [(i + 0.5) * lane for i in range(len(categories))]
    axes.set_yticks(centres, categories, fontsize=FONT, color=INK)
    axes.tick_params(length=0, labelsize=FONT, labelcolor=INK)
    axes.locator_params(axis="x", nbins=5)
    axes.grid(axis="x", color=GRID, linewidth=0.5)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)
    figure.text(0.01, 1 - 0.08 / height, title, fontsize=FONT + 1, color=INK, va="top")
    return inline_svg(figure, name, title, describe(categories, series, digits))
