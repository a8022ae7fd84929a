"""Learning curves: loss and score of a training by epoch."""

import dataclasses
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from espnet_samu.report.charts import (
    FONT,
    GRID,
    INK,
    WIDTH,
    inline_svg,
    make_figure,
    make_legend,
    series_colour,
)
from espnet_samu.report.page import Section
from espnet_samu.utils.training_log import SCORES, EpochResults

HEIGHT = 2.1  # inches


@dataclasses.dataclass(frozen=True)
class Curve:
    """Numbers by epoch."""

    name: str
    """What they are of: ``training`` or ``validation``."""
    colour: int
    """Number of its colour."""
    values: Mapping[int, float]
    """Value by epoch, at least one."""

    def describe(self, largest: bool) -> str:
        """Return first, best and last value in words.

        Args:
            largest: Whether the largest value is the best one.
        """
        choose = max if largest else min
        best = choose(self.values, key=lambda epoch: self.values[epoch])
        words = [
            f"{word} {self.values[epoch]:.4g} in epoch {epoch}"
            for word, epoch in (
                ("first", min(self.values)),
                ("best", best),
                ("last", max(self.values)),
            )
        ]
        return f"{self.name}: {', '.join(words)}."


def draw_curves(
    name: str, title: str, curves: Sequence[Curve], largest: bool
) -> Markup:
    """Draw lines over the epochs.

    Args:
        name: Word for the ids of the figure.
        title: What is shown.
        curves: At least one.
        largest: Whether the largest value is the best one.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(WIDTH, HEIGHT))
    axes = figure.add_axes((0.13, 0.16, 0.84, 0.68))
    for curve in curves:
        # A single epoch is no line.
        marker = "." if len(curve.values) < 10 else ""
        axes.plot(
            [*curve.values],
            [*curve.values.values()],
            color=series_colour(curve.colour),
            linewidth=1.5,
            marker=marker,
        )
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.tick_params(length=0, labelsize=FONT, labelcolor=INK)
    axes.grid(color=GRID, linewidth=0.5)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_xlabel("epoch", fontsize=FONT, color=INK, labelpad=1)
    figure.text(0.01, 0.97, title, fontsize=FONT + 1, color=INK, va="top")
    text = " ".join(curve.describe(largest) for curve in curves)
    return inline_svg(figure, name, title, text)


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
            Curve(kind, colour, values)
            for colour, (kind, values) in enumerate(pairs)
            if values
        ]
        charts = [draw_curves(f"loss{number}", "Loss", losses, False)]
        score = results[-1].score
        if score is not None:
            values = {r.epoch: r.valid[score] for r in results if score in r.valid}
            curve = Curve("validation", 0, values)
            title = SCORES[score]
            title = f"{title[0].upper()}{title[1:]}"
            charts.append(draw_curves(f"score{number}", title, [curve], True))
        legend = make_legend([(one.name, one.colour, False) for one in losses])
        text = f"{name}: means over each epoch. "
        parts.append(make_figure(charts, legend, text, commands))
    return Section("training", "Learning curves", Markup("\n").join(parts))
