"""Markdown tables."""

from collections.abc import Sequence


def format_number(value: float | None, digits: int = 1) -> str:
    """Return a number with fixed digits, "-" where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def format_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int = 1
) -> str:
    """Return a markdown table with columns padded to one width.

    Args:
        header: Column titles.
        rows: Cells, as many as there are titles.
        text_columns: Columns from the left that are aligned left, the others right.
    """
    cells = [[c.replace("|", "\\|") for c in row] for row in (header, *rows)]
    # A rule of at least "-:" is what makes a column to markdown.
    widths = [max(2, *map(len, column)) for column in zip(*cells, strict=True)]

    def line(row: Sequence[str]) -> str:
        padded = [
            c.ljust(w) if i < text_columns else c.rjust(w)
            for i, (c, w) in enumerate(zip(row, widths))
        ]
        return f"| {' | '.join(padded)} |"

    rule = [
        "-" * w if i < text_columns else "-" * (w - 1) + ":"
        for i, w in enumerate(widths)
    ]
    return "\n".join([line(cells[0]), line(rule), *map(line, cells[1:])]) + "\n"
