"""What is wrong with a copy of the corpus."""

from __future__ import annotations

from pathlib import Path


class CorpusError(ValueError):
    """A mistake in a file of the corpus: says file, line, what is wrong and a mend.

    Args:
        path: The file.
        line: Line number, from 1.
        problem: What is wrong.
        mend: What to do about it.
    """

    def __init__(self, path: Path, line: int, problem: str, mend: str) -> None:
        super().__init__(f"{path}:{line}: {problem}; {mend}")
