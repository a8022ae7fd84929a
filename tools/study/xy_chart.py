"""Lines or points over two axes of numbers."""

import dataclasses
from collections.abc import Sequence

from espnet_samu.report.charts import (
    FONT,
    GRID,
    INK,
    SERIES,
    WIDTH,
    inline_svg,
    series_colour,
)
from espnet_samu.report.page import Html

HEIGHT = 2.5  # inches
PALE = SERIES - 1
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
) -> Html:
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
