"""HTML from nested calls; text is escaped unless it is HTML already."""

import html
from collections.abc import Iterable, Sequence


class Html(str):
    """Text that is HTML already."""


def escape(text: str) -> Html:
    """Return text as HTML; what is HTML stays as it is."""
    return text if isinstance(text, Html) else Html(html.escape(text))


def join(parts: Iterable[str]) -> Html:
    """Return parts one after the other."""
    return Html("".join(map(escape, parts)))


def start_tag(name: str, **attributes: str | None) -> Html:
    """Return the start of an element, which is all of it for `img` and `meta`.

    Args:
        name: Name of the element.
        **attributes: Attributes; `class_` is class, `_` is a hyphen elsewhere, None
            leaves one out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{written}>")


def tag(name: str, *children: str, **attributes: str | None) -> Html:
    """Return an element.

    Args:
        name: Name of the element.
        *children: What is in it.
        **attributes: As for `start_tag`.
    """
    return Html(f"{start_tag(name, **attributes)}{join(children)}</{name}>")


def table(
    caption: str, header: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1
) -> Html:
    """Return a table that scrolls by itself where the page is narrow.

    Args:
        caption: What the table shows.
        header: Column titles.
        rows: Cells, as many as there are titles.
        texts: Columns from the left that are text, the others are numbers. The first
            one of a row is its header.
    """

    def cell(i: int, content: str, head: bool) -> Html:
        name = "th" if head or i == 0 else "td"
        scope = ("col" if head else "row") if name == "th" else None
        return tag(name, content, class_=None if i < texts else "number", scope=scope)

    head = tag("tr", *(cell(i, c, True) for i, c in enumerate(header)))
    body = [tag("tr", *(cell(i, c, False) for i, c in enumerate(row))) for row in rows]
    content = tag(
        "table", tag("caption", caption), tag("thead", head), tag("tbody", *body)
    )
    # The keyboard reaches what scrolls only if it takes the focus.
    return tag(
        "div", content, class_="wide", tabindex="0", role="region", aria_label=caption
    )


def definitions(items: Iterable[tuple[str, str]]) -> Html:
    """Return a list of names and what they stand for."""
    return tag("dl", *(join([tag("dt", k), tag("dd", v)]) for k, v in items))
