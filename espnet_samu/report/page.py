"""The page as a whole: templates, sections with a list of them, no outside files.

``templates/`` has the HTML: ``page.html`` the document, ``components.html`` tables,
figures and the like, ``sections.html`` the sections of a recipe's report.
"""

import dataclasses
import functools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from espnet_samu.utils.language_codes import base_language

TEMPLATES = Path(__file__).parent / "templates"
SERIES = 24
"""Colours of ``style.css`` for systems: ``--series-0``, ``--series-1``, ..."""


@functools.cache
def _environment(folder: Path) -> Environment:
    """Return the templates of a folder and, behind them, those of the package."""
    environment = Environment(
        loader=FileSystemLoader([folder, TEMPLATES]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    environment.globals["series_colours"] = SERIES
    environment.filters["base_language"] = base_language
    return environment


def load_macros(name: str, folder: Path = TEMPLATES) -> Any:
    """Return a template, whose macros are its methods and return ``Markup``.

    Args:
        name: File name of the template.
        folder: Its folder.
    """
    return _environment(folder).get_template(name).module


_CONTROL = re.compile(
    r"[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)


def mark_control(text: str) -> str:
    """Return a text with U+FFFD for characters that XML and HTML cannot have."""
    return _CONTROL.sub("\ufffd", text)


def make_definitions(items: Iterable[tuple[str, str]]) -> Markup:
    """Return a list of names and what they stand for."""
    return load_macros("components.html").definitions(items)


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the page."""

    name: str
    """Word for its id."""
    title: str
    """Its heading."""
    content: Markup
    """What follows."""


def make_page(title: str, head: Markup, sections: Sequence[Section]) -> str:
    """Return an HTML document.

    Args:
        title: Title of the page.
        head: What stands between title and list of sections.
        sections: Parts of the page.
    """
    template = _environment(TEMPLATES).get_template("page.html")
    return mark_control(template.render(title=title, head=head, sections=sections))
