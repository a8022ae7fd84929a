"""The page as a whole: sections with a list of them, no outside files."""

import dataclasses
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


STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fff; --ink: #1c1e21; --soft: #5a6069; --grid: #d9dce1; --band: #f4f5f7;
  --link: #0b5cad;
  --series-0: #0b6bb8; --series-1: #d1660a; --series-2: #2a8a57;
  --series-3: #9d4fa8; --series-4: #b08900; --series-5: #6b7280;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15171a; --ink: #e8eaed; --soft: #a3a9b3; --grid: #3a3f47;
    --band: #1f2227; --link: #7db8f2;
    --series-0: #4a9fe3; --series-1: #ef8b3a; --series-2: #4fb57f;
    --series-3: #c583cf; --series-4: #d4ae2e; --series-5: #9aa2ae;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1rem; max-width: 84rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif;
}
h1 { font-size: 1.6rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
p { max-width: 46rem; }
a { color: var(--link); }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin: 0; padding: 0;
  list-style: none; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr);
  gap: .15rem 1rem; margin: .5rem 0; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
code, pre { font: .85rem/1.45 ui-monospace, monospace; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--band);
  padding: .6rem .8rem; border-radius: .3rem; margin: .4rem 0; }
.wide { overflow-x: auto; margin: .5rem 0 1rem; }
table { border-collapse: collapse; font-size: .9rem; }
caption, .caption { text-align: left; color: var(--soft); padding-bottom: .3rem; }
.caption { font-size: .9rem; margin: 1rem 0 0; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid var(--grid);
  white-space: nowrap; font-variant-numeric: tabular-nums; }
tbody th { font-weight: 400; }
tbody tr.published { color: var(--soft); }
.number { text-align: right; }
figure { margin: 1rem 0; }
figcaption { color: var(--soft); font-size: .9rem; max-width: 60rem; }
.charts { display: grid; gap: 1rem 2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(21rem, 100%), 1fr)); }
.charts svg { display: block; width: 100%; max-width: 30rem; height: auto; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: .5rem 0;
  padding: 0; list-style: none; font-size: .9rem; }
.legend span { display: inline-block; width: .8rem; height: .8rem;
  margin-right: .4rem; }
.legend .published span { opacity: .45; }
img { max-width: 100%; height: auto; background: #fff; }
/* Its text would be too small to read in less room: it scrolls. */
.wide img { min-width: 44rem; }
audio { display: block; width: 100%; max-width: 20rem; height: 2.2rem; }
.first { border-left: .3rem solid var(--series-1); padding: .1rem 0 .1rem .8rem; }
.claim { font-size: 1.1rem; }
.examples { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); }
.example { border: 1px solid var(--grid); border-radius: .3rem; padding: .6rem .8rem; }
.example h4 { margin: 0 0 .3rem; font-size: .8rem; font-weight: 400;
  color: var(--soft); overflow-wrap: anywhere; }
.example dl { grid-template-columns: minmax(5rem, max-content) minmax(0, 1fr); }
.example dt { font-size: .85rem; overflow-wrap: anywhere; max-width: 9rem; }
.none { color: var(--soft); font-style: italic; }
@media (max-width: 40rem) {
  dl, .example dl { display: block; }
  dt, .example dt { margin-top: .4rem; max-width: none; }
}
"""


def show_commands(commands: Sequence[str]) -> Html:
    """Return commands to open and read, or that none is known.

    Args:
        commands: Command lines; empty ones are not known.
    """
    known = [command for command in commands if command]
    if not known:
        return tag("span", "Its command was not given.", class_="none")
    title = "Command" if len(known) == 1 else "Commands"
    return tag(
        "details", tag("summary", title), tag("pre", tag("code", "\n".join(known)))
    )


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
