"""The page as a whole: sections with a list of them, no outside files."""

import dataclasses
from collections.abc import Sequence

from espnet_samu.report.html import Html, join, start_tag, tag
from espnet_samu.report.style import STYLE


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the page."""

    name: str
    """Word for its id."""
    title: str
    """Its heading."""
    content: Html
    """What follows."""


def make_page(title: str, head: Html, sections: Sequence[Section]) -> str:
    """Return an HTML document.

    Args:
        title: Title of the page.
        head: What stands between title and list of sections.
        sections: Parts of the page.
    """
    links = [
        tag("li", tag("a", section.title, href=f"#{section.name}"))
        for section in sections
    ]
    parts = [
        tag(
            "section",
            tag("h2", section.title, id=f"{section.name}-title"),
            section.content,
            id=section.name,
            aria_labelledby=f"{section.name}-title",
        )
        for section in sections
    ]
    width = "width=device-width, initial-scale=1"
    document = tag(
        "html",
        tag(
            "head",
            start_tag("meta", charset="utf-8"),
            start_tag("meta", name_="viewport", content=width),
            tag("title", title),
            tag("style", Html(STYLE)),
        ),
        tag(
            "body",
            tag("header", tag("h1", title), head),
            tag("nav", tag("ul", *links), aria_label="Contents"),
            tag("main", join(parts)),
        ),
        lang="en",
    )
    return f"<!DOCTYPE html>\n{document}\n"
