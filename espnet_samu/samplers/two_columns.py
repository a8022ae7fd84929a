"""Two-column text files of millions of lines, read in blocks."""

import os
from collections.abc import Iterator

import numpy as np

# Bytes. Large enough for speed, small beside the arrays that are made of them.
_BLOCK = 2**24


def read_blocks(
    path: str | os.PathLike[str],
) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """Read a file of lines `utterance value`, both without blanks.

    Args:
        path: File in UTF-8.

    Yields:
        Utterances and values of the lines of one block.

    Raises:
        ValueError: Naming file and line, for a line of another form; for other bytes
            than UTF-8; for a file without any line.
    """
    number = 0
    with open(path, "rb") as f:
        while block := f.read(_BLOCK):
            block += f.readline()
            if not block.endswith(b"\n"):
                block += b"\n"
            try:
                block.decode()
            except UnicodeDecodeError as error:
                raise ValueError(f"{path}: not UTF-8: {error.reason}") from None
            tokens = block.split()
            if not _is_regular(block, len(tokens)):
                raise ValueError(f"{path}:{_describe_first_irregular(block, number)}")
            number += len(tokens) // 2
            yield tokens[::2], tokens[1::2]
    if number == 0:
        raise ValueError(f"{path}: file is empty")


def _is_regular(block: bytes, n_tokens: int) -> bool:
    """Whether each line has two tokens."""
    characters = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(characters == ord("\n"))
    visible = characters > ord(" ")
    starts = np.flatnonzero(visible[1:] & ~visible[:-1]) + 1
    if visible[0]:
        starts = np.concatenate([[0], starts])
    if not 2 * len(ends) == len(starts) == n_tokens:
        return False
    # The second token of a line begins before its end, the next one after it.
    return bool((starts[1::2] < ends).all() and (starts[2::2] > ends[:-1]).all())


def _describe_first_irregular(block: bytes, number: int) -> str:
    for number, line in enumerate(block.splitlines(), number + 1):
        if len(line.split()) != 2:
            break
    text = line[:80].decode(errors="replace")
    return f"{number}: line must be 'utterance value', two columns: {text!r}"
