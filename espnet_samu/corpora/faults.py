"""What is wrong with a corpus: file, line, problem and how to mend it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

MOST = 20  # mistakes that are printed
WIDTH = 300  # characters of a message


class CorpusError(ValueError):
    """A mistake in a file of the corpus, with file, line, problem and how to mend it.

    Args:
        path: The file.
        line: Line number, from 1.
        problem: What is wrong.
        mend: What to do about it.
    """

    def __init__(self, path: Path, line: int, problem: str, mend: str) -> None:
        super().__init__(f"{path}:{line}: {problem}; {mend}")


class ManifestError(ValueError):
    """A mistake in a manifest, with file, line, problem and how to mend it.

    Args:
        path: The manifest.
        line: Line number, from 1; the header is line 1.
        problem: What is wrong.
        mend: What to do about it.
    """

    def __init__(self, path: Path, line: int, problem: str, mend: str) -> None:
        self.line = line
        self.problem = f"{shown(problem)}; {mend}"
        super().__init__(f"{shown(str(path))}:{line}: {self.problem}")


class ManifestErrors(ValueError):
    """All mistakes in a manifest, of which the first are printed.

    Args:
        path: The manifest.
        mistakes: At least one.
    """

    def __init__(self, path: Path, mistakes: Sequence[ManifestError]) -> None:
        self.mistakes = sorted(mistakes, key=lambda mistake: mistake.line)
        lines = list(map(str, self.mistakes[:MOST]))
        if len(self.mistakes) > 1:
            lines.insert(0, f"{shown(str(path))}: {len(self.mistakes)} mistakes:")
        if len(self.mistakes) > MOST:
            lines.append(f"and {len(self.mistakes) - MOST} more")
        super().__init__("\n    ".join(lines))


def shown(text: str) -> str:
    """Return a text for a terminal: bounded, control characters written out."""
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:WIDTH])
    return text if len(text) < WIDTH else f"{text[:WIDTH]}..."
