"""Reading of lengths and languages of utterances from ESPnet's files."""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from typeguard import typechecked

from espnet_samu.utils.language_codes import common_names


class UtteranceIndex:
    """Index of utterances by name: a sorted array, smaller than a dictionary.

    Args:
        utterances: Names (N,), bytes, in any order; sorted ones need no copy.
        path: The file they are from, for messages.

    Raises:
        ValueError: A name occurs twice.
    """

    @typechecked
    def __init__(self, utterances: np.ndarray, path: str):
        self._sorted = utterances
        self._order = None
        if not (utterances[1:] >= utterances[:-1]).all():
            self._order = np.argsort(utterances, kind="stable")
            self._sorted = utterances[self._order]
        twice = np.flatnonzero(self._sorted[1:] == self._sorted[:-1])
        if len(twice):
            name = self._sorted[twice[0]].decode()
            raise ValueError(f"{path}: utterance '{name}' is there twice")

    def find(self, utterances: np.ndarray) -> np.ndarray:
        """Return the positions of utterances.

        Args:
            utterances: Names (M,), bytes.

        Returns:
            Row (M,) of each, -1 where it is not known.
        """
        places = np.searchsorted(self._sorted, utterances)
        # Beyond the last one: any row will do, the names differ.
        np.minimum(places, len(self._sorted) - 1, out=places)
        known = self._sorted[places] == utterances
        rows = places if self._order is None else self._order[places]
        return np.where(known, rows, -1)


# Bytes. Large enough for speed, small beside the arrays that are made of them.
_BLOCK = 2**24


def read_blocks(
    path: str | os.PathLike[str],
) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """Read a file of lines ``utterance value``, both without blanks.

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
    """Return whether each line has two tokens."""
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


@dataclasses.dataclass(frozen=True)
class Languages:
    """Languages of N utterances."""

    names: tuple[str, ...]
    """L names, sorted."""
    codes: np.ndarray
    """Index (N,) into names, int32."""

    @property
    def counts(self) -> np.ndarray:
        """Return the number of utterances (L,) of each language, all above 0."""
        return np.bincount(self.codes, minlength=len(self.names))


_CATEGORIES = "utt2category"


def find_category_file(folder: str | os.PathLike[str]) -> Path:
    """Return ``utt2category`` of a data folder, else ``utt2lang``.

    Raises:
        FileNotFoundError: There is neither; says what to make.
    """
    for name in (_CATEGORIES, "utt2lang"):
        if (path := Path(folder) / name).exists():
            return path
    raise FileNotFoundError(
        f"balance_languages: there is no utt2lang in '{folder}', the folder of the "
        "first training data file; make it, lines 'utterance language', or set "
        "balance_languages: false"
    )


def read_languages(path: str | os.PathLike[str], utterances: np.ndarray) -> Languages:
    """Read the languages of some utterances, lines ``utterance language``.

    Spellings of one code (``FR``, ``fr``) are one language, under the most frequent of
    its names; the categories of ``utt2category`` are taken as they are written.

    Args:
        path: File of these utterances, and maybe others.
        utterances: Names (N,), bytes.

    Raises:
        ValueError: An utterance has no language, or the file is malformed or empty.
    """
    names: dict[bytes, int] = {}
    keys, codes = [], []
    for block, values in read_blocks(path):
        keys.append(np.array(block))
        found = [names.setdefault(value, len(names)) for value in values]
        codes.append(np.array(found, dtype=np.int32))
    known, code = np.concatenate(keys), np.concatenate(codes)
    if not np.array_equal(known, utterances):
        rows = UtteranceIndex(known, str(path)).find(utterances)
        missing = np.flatnonzero(rows < 0)
        if len(missing):
            examples = ", ".join(u.decode() for u in utterances[missing[:3]])
            raise ValueError(
                f"{path}: {len(missing)} of {len(utterances)} training utterances have "
                f"no language, e.g. {examples}; add a line 'utterance language' for "
                "each (speed-perturbed copies too), or set balance_languages: false"
            )
        code = code[rows]
    # Only the languages of these utterances, sorted by name: their numbers do not
    # depend on other lines of the file.
    decoded = [name.decode() for name in names]
    used = zip(decoded, np.bincount(code, minlength=len(names)).tolist())
    counts = {name: count for name, count in used if count}
    common = dict(zip(counts, counts))
    if Path(path).name != _CATEGORIES:
        common = common_names(counts, str(path))
    kept = sorted({*common.values()})
    number = {name: kept.index(common[name]) for name in counts}
    numbers = np.array([number.get(name, 0) for name in decoded], dtype=np.int32)
    return Languages(tuple(kept), numbers[code])


_DIGITS = 18  # of a length, which is an int64


@dataclasses.dataclass(frozen=True)
class Shapes:
    """Lengths of N utterances in F shape files."""

    utterances: np.ndarray
    """Names (N,), bytes, in the order of the first file."""
    lengths: np.ndarray
    """Lengths (N, F), int64: samples, frames or tokens, as the file counts."""
    dims: tuple[int, ...]
    """Elements of one step, F numbers: 1 of a waveform, 80 of 80 filter banks."""
    window: int | None = None
    """Length in the first file that is computed for every utterance, as Whisper does.
    None: that of the longest utterance of a batch."""

    def elements(self, rows: np.ndarray) -> np.ndarray:
        """Return the elements (M, F) of utterances (M,)."""
        return self.lengths[rows] * np.array(self.dims)

    def computed(self, rows: np.ndarray) -> np.ndarray:
        """Return the elements (M, F) with windows, what ``batch_bins`` counts."""
        elements = self.elements(rows)
        if self.window is not None:
            elements[:, 0] = self.window * self.dims[0]
        return elements


def read_shapes(paths: Sequence[str]) -> Shapes:
    """Read shape files, lines ``utterance length[,dim...]``.

    Args:
        paths: Files of the same utterances, in any order.

    Raises:
        ValueError: No file; utterances or dims differ; an utterance is there twice; a
            length is not a number.
    """
    if not paths:
        raise ValueError(
            "no shape file: batches are made of the lengths in --train_shape_file"
        )
    columns: list[np.ndarray] = []
    dims: list[int] = []
    for path in paths:
        utterances, lengths, dim = _read_shape_file(path)
        if not columns:
            first = utterances
            # Refuses what is there twice.
            UtteranceIndex(first, paths[0])
        elif not np.array_equal(utterances, first):
            rows = UtteranceIndex(utterances, path).find(first)
            if len(utterances) != len(first) or (rows < 0).any():
                raise ValueError(
                    f"{paths[0]} ({len(first)}) and {path} ({len(utterances)}) must "
                    "have the same utterances; collect the statistics again"
                )
            lengths = lengths[rows]
        columns.append(lengths)
        dims.append(dim)
    return Shapes(first, np.stack(columns, axis=1), tuple(dims))


def _read_shape_file(path: str) -> tuple[np.ndarray, np.ndarray, int]:
    """Return names (N,), lengths (N,) and the elements of one step."""
    names, lengths, dims = [], [], None
    for keys, values in read_blocks(path):
        if dims is None:
            dims = values[0].partition(b",")[2]
            if dims and not all(d.isdigit() for d in dims.split(b",")):
                raise ValueError(
                    f"{path}: shape of '{keys[0].decode()}' must be a length and dims, "
                    f"if any, all of them numbers: {values[0].decode()}"
                )
        block = _parse_lengths(values, dims)
        if len(block) != len(values):
            bad = next(i for i, v in enumerate(values) if not _is_shape(v, dims))
            raise ValueError(
                f"{path}: shape of '{keys[bad].decode()}' must be a length"
                f"{' and the dims ' + dims.decode() if dims else ''}, as that of the "
                f"first utterance: {values[bad].decode()}"
            )
        lengths.append(block)
        names.append(np.array(keys))
    dim = int(np.prod([int(d) for d in dims.split(b",")])) if dims else 1
    return np.concatenate(names), np.concatenate(lengths), dim


def _is_shape(value: bytes, dims: bytes) -> bool:
    length, _, rest = value.partition(b",")
    return length.isdigit() and len(length) <= _DIGITS and rest == dims


def _parse_lengths(values: list[bytes], dims: bytes) -> np.ndarray:
    """Return the lengths; fewer than given where a value is malformed."""
    text = b"\n".join(values) + b"\n"
    if max(map(len, values)) > _DIGITS + (len(dims) + 1 if dims else 0):
        return np.array([])
    if dims:
        end = b"," + dims + b"\n"
        if text.count(end) != len(values):
            return np.array([])
        text = text.replace(end, b"\n")
    if not text.replace(b"\n", b"").isdigit():
        return np.array([])
    return np.fromstring(text, dtype=np.int64, sep="\n")
