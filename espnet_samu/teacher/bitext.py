"""Sentence pairs for training a small teacher."""

import os
import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

COLUMNS = ("lang", "text", "english")


class Pair(NamedTuple):
    """A sentence and its English translation."""

    lang: str
    text: str
    english: str


def read_bitext(path: str | os.PathLike[str]) -> list[Pair]:
    """Read a TSV file with the header `lang text english`, without quoting.

    Args:
        path: File in UTF-8; further columns are not allowed.

    Returns:
        Distinct pairs, in the order of the file.

    Raises:
        ValueError: Naming file and line, for a wrong header, a wrong number of
            columns, an empty field; for a file without pairs.
    """
    pairs: dict[Pair, None] = {}
    with open(path, encoding="utf-8", newline="\n") as f:
        for number, line in enumerate(f, 1):
            fields = tuple(field.strip() for field in line.rstrip("\r\n").split("\t"))
            if number == 1:
                if fields != COLUMNS:
                    raise ValueError(
                        f"{path}:1: header must be {COLUMNS}, tab-separated: {fields}"
                    )
            elif len(fields) != len(COLUMNS) or not all(fields):
                raise ValueError(
                    f"{path}:{number}: need {len(COLUMNS)} non-empty columns "
                    f"{COLUMNS}: {fields}"
                )
            else:
                pairs[Pair(*fields)] = None
    if not pairs:
        raise ValueError(f"{path}: no sentence pair in the file")
    return list(pairs)


def distinct_batches(
    pairs: Sequence[Pair], batch_size: int, seed: int
) -> Iterator[list[Pair]]:
    """Draw batches without end, in which no sentence occurs twice on either side.

    A repeated sentence would be its own wrong answer in a ranking loss. A pair whose
    sentence is in the batch already is left to another epoch (each is shuffled anew),
    and so is an unfinished batch, unless the epoch gave no full one.

    Args:
        pairs: Sentence pairs.
        batch_size: Pairs a batch.
        seed: Seed of the order.

    Yields:
        `batch_size` pairs, or fewer where there are not so many distinct ones.

    Raises:
        ValueError: When not even two pairs can stand in one batch.
    """
    order = list(pairs)
    generator = random.Random(seed)
    while True:
        generator.shuffle(order)
        batch: list[Pair] = []
        sentences: tuple[set[str], set[str]] = (set(), set())
        full_batches = 0
        for pair in order:
            if pair.text in sentences[0] or pair.english in sentences[1]:
                continue
            batch.append(pair)
            sentences[0].add(pair.text)
            sentences[1].add(pair.english)
            if len(batch) == batch_size:
                yield batch
                full_batches += 1
                batch, sentences = [], (set(), set())
        if not full_batches:
            if len(batch) < 2:
                raise ValueError("need at least two pairs with distinct sentences")
            yield batch
