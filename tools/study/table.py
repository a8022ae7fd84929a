"""A table that is written as markdown and as HTML."""

import dataclasses
from collections.abc import Sequence

from espnet_samu.report.page import Html, join
from espnet_samu.report.page import table as html_table
from espnet_samu.report.page import tag
from espnet_samu.scoring.table import format_table


@dataclasses.dataclass(frozen=True)
class Table:
    """Cells with what they are."""

    caption: str
    """What the table shows."""
    header: Sequence[str]
    """Column titles."""
    rows: Sequence[Sequence[str]]
    """Cells, as many in a row as there are titles."""
    text_columns: int = 1
    """Columns from the left that are text, the others are numbers."""
    note: str = ""
    """What a reader has to know about it."""

    def to_markdown(self) -> str:
        """Return it with caption and note, as paragraphs."""
        body = format_table(self.header, self.rows, self.text_columns)
        return "\n\n".join(part for part in (self.caption, self.note, body) if part)

    def to_html(self) -> Html:
        """Return it with its note before it."""
        parts = [tag("p", self.note)] if self.note else []
        shown = html_table(self.caption, self.header, self.rows, self.text_columns)
        return join([*parts, shown])
