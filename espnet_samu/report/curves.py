"""Lines and points over two axes; learning curves: loss and score by epoch."""

import dataclasses
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from espnet_samu.report.charts import (
    FONT,
    INK,
    WIDTH,
    inline_svg,
    make_figure,
    make_legend,
    series_colour,
    style_axes,
)
from espnet_samu.report.page import Section
from espnet_samu.utils.training_log import SCORES, EpochResults

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
        colour = series_colour(PALE if one.colour is None else one.colour)
        x, y = ([pair[i] for pair in one.pairs] for i in range(2))
        if lines:
            marker = "." if len(x) == 1 else ""  # a single point is no line
            axes.plot(x, y, color=colour, linewidth=0.7 if pale else 1.6, marker=marker)
        else:
            size = 2.2 if pale else 4.0
            axes.plot(x, y, color=colour, linestyle="", marker="o", markersize=size)
    axes.set_xlabel(axes_titles[0], fontsize=FONT, color=INK, labelpad=2)
    axes.set_ylabel(axes_titles[1], fontsize=FONT, color=INK, labelpad=2)
    if numbered:
        axes.locator_params(nbins=5)
        axes.locator_params(axis="x", integer=lines)  # epochs or updates
    else:
        axes.set_xticks([])
        axes.set_yticks([])
    style_axes(axes, title, "both" if numbered else None)
    return inline_svg(figure, name, title, description)


def describe_curve(curve: Points, largest: bool) -> str:
    """Return first, best and last value of a curve in words.

    Args:
        curve: Pairs of an epoch and a value.
        largest: Whether the largest value is the best one.
    """
    best = (max if largest else min)(curve.pairs, key=lambda pair: pair[1])
    words = [
        f"{word} {value:.4g} in epoch {epoch}"
        for word, (epoch, value) in zip(
            ("first", "best", "last"), (curve.pairs[0], best, curve.pairs[-1])
        )
    ]
    return f"{curve.name}: {', '.join(words)}."


def draw_curves(
    name: str, title: str, curves: Sequence[Points], largest: bool
) -> Markup:
    """Draw lines over the epochs.

    Args:
        name: Word for the ids of the figure.
        title: What is shown.
        curves: Pairs of an epoch and a value; at least one.
        largest: Whether the largest value is the best one.
    """
    text = " ".join(describe_curve(curve, largest) for curve in curves)
    return draw_xy(name, title, curves, ("epoch", ""), True, text)


def make_curve_section(
    trainings: Mapping[str, Sequence[EpochResults]], commands: Sequence[str]
) -> Section:
    """Return the learning curves of some trainings.

    Args:
        trainings: Results of the epochs by name of the training, at least one each.
        commands: Commands that made the page.
    """
    parts = []
    for number, (name, results) in enumerate(trainings.items()):
        valid = {r.epoch: r.valid["loss"] for r in results if "loss" in r.valid}
        train = {r.epoch: r.train["loss"] for r in results if "loss" in r.train}
        pairs = (("validation", valid), ("training", train))
        losses = [
            Points(kind, colour, sorted(values.items()))
            for colour, (kind, values) in enumerate(pairs)
            if values
        ]
        charts = [draw_curves(f"loss{number}", "Loss", losses, False)]
        score = results[-1].score
        if score is not None:
            values = {r.epoch: r.valid[score] for r in results if score in r.valid}
            curve = Points("validation", 0, sorted(values.items()))
            title = SCORES[score]
            title = f"{title[0].upper()}{title[1:]}"
            charts.append(draw_curves(f"score{number}", title, [curve], True))
        legend = make_legend([(one.name, one.colour or 0, False) for one in losses])
        text = f"{name}: means over each epoch. "
        parts.append(make_figure(charts, legend, text, commands))
    return Section("training", "Learning curves", Markup("\n").join(parts))
