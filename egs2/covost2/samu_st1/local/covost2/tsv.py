"""Common Voice's and CoVoST-2's tables, read as their authors read them."""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

ARCHIVE = ".tar.gz"


class TsvReader:
    r"""Rows of a TSV file: tabs, no quoting, backslash escapes, words like "NA" kept.

    The same rows as ``pandas.read_csv(sep="\t", quoting=csv.QUOTE_NONE,
    escapechar="\\", na_filter=False)``, with which CoVoST-2's authors read both tables.
    Blanks of any kind (tabs that were escaped, line ends, U+2028) become single spaces:
    Kaldi's files have one line an utterance.

    Args:
        path: The file, or an archive ``<file>.tar.gz`` that holds it.
        columns: Names of the columns to return.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self.columns = columns
        self.line = 1
        """Number of the line that was read last; the header is line 1."""
        self.malformed: list[int] = []
        """Numbers of the lines that were left out: too many fields or too few."""

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        """Read the file.

        Yields:
            The fields of ``columns``, in that order.

        Raises:
            ValueError: It cannot be read, or misses a column; names file and line.
        """
        self.line, self.malformed = 1, []
        try:
            with open_tsv(self.path) as stream:
                rows = csv.reader(
                    stream, delimiter="\t", quoting=csv.QUOTE_NONE, escapechar="\\"
                )
                header = next(rows, [])
                places = [self.place(header, name) for name in self.columns]
                last = max(places)
                for row in rows:
                    self.line = rows.line_num
                    if last < len(row) <= len(header):
                        yield tuple([" ".join(row[place].split()) for place in places])
                    elif row:
                        self.malformed.append(self.line)
        except UnicodeDecodeError as e:
            raise ValueError(
                f"{self.path}: not UTF-8 after line {self.line} ({e.reason}); "
                "get the file again"
            ) from None
        except (csv.Error, OSError, EOFError, tarfile.TarError) as e:
            raise ValueError(
                f"{self.path}:{self.line}: cannot be read ({e}); get the file again"
            ) from None

    def place(self, header: Sequence[str], name: str) -> int:
        """Return the place of a column."""
        if name not in header:
            raise ValueError(
                f"{self.path}:1: no column '{name}' among '{' '.join(header)}'; is "
                "this the right file?"
            )
        return header.index(name)


@contextmanager
def open_tsv(path: Path) -> Iterator[TextIO]:
    """Open a file, or the one of that name in its archive.

    Raises:
        ValueError: The archive has no such file.
    """
    if not path.name.endswith(ARCHIVE):
        with path.open(encoding="utf-8-sig", newline="") as stream:
            yield stream
        return
    name = path.name[: -len(ARCHIVE)]
    with tarfile.open(path) as archive:
        for member in archive:
            content = archive.extractfile(member)
            if Path(member.name).name == name and content is not None:
                yield io.TextIOWrapper(content, encoding="utf-8-sig", newline="")
                return
    raise ValueError(f"{path}: holds no {name}; get the archive again")
