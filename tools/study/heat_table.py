"""A table whose cells have the colour of their number."""

from collections.abc import Mapping, Sequence

from espnet_samu.report.page import Html, join, tag

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
) -> Html:
    """Return the table; it scrolls by itself where the page is narrow.

    Args:
        caption: What the table shows.
        corner: What rows and columns are.
        rows: Names of the rows.
        columns: Names of the columns.
        values: Number of each cell, 0 to 100; some may lack.
    """
    head = [tag("th", corner, scope="col")]
    head += [tag("th", column, scope="col", class_="number") for column in columns]
    body = []
    for row in rows:
        cells = [tag("th", row, scope="row")]
        for column in columns:
            value = values.get((row, column))
            text = "-" if value is None else f"{value:.0f}"
            style = None if value is None else _shade(value / 100)
            cells.append(tag("td", text, class_="number", style=style))
        body.append(tag("tr", *cells))
    content = tag(
        "table",
        tag("thead", tag("tr", *head)),
        tag("tbody", *body),
        aria_label=caption,
    )
    # A caption within would be as narrow as the table.
    region = tag(
        "div", content, class_="wide", tabindex="0", role="region", aria_label=caption
    )
    return join([tag("p", caption, class_="caption"), region])
