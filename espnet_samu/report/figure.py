"""Charts with their legend, caption and commands."""

from collections.abc import Sequence

from espnet_samu.report.commands import show_commands
from espnet_samu.report.html import Html, tag
from espnet_samu.report.inline_svg import SERIES


def make_legend(entries: Sequence[tuple[str, int, bool]]) -> Html:
    """Return names with their colours.

    Args:
        entries: Name, number of the colour, whether it was published and is pale.
    """
    items = []
    for name, number, published in entries:
        colour = f"background: var(--series-{number % SERIES})"
        items.append(
            tag(
                "li",
                tag("span", style=colour),
                name + (" (published)" if published else ""),
                class_="published" if published else None,
            )
        )
    return tag("ul", *items, class_="legend")


def make_figure(
    charts: Sequence[Html], legend: Html, text: str, commands: Sequence[str]
) -> Html:
    """Return charts with one legend and one caption.

    Args:
        charts: The charts, beside each other where there is room.
        legend: Their legend.
        text: The caption.
        commands: Commands that made the charts.
    """
    return tag(
        "figure",
        legend,
        tag("div", *charts, class_="charts"),
        tag("figcaption", text, show_commands(commands)),
    )
