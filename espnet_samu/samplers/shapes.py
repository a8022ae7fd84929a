"""Sizes of all utterances, from ESPnet's shape files."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from espnet_samu.samplers.two_columns import read_blocks
from espnet_samu.samplers.utterance_index import UtteranceIndex

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

    def elements(self, rows: np.ndarray) -> np.ndarray:
        """Return the elements (M, F) of utterances (M,), what `batch_bins` counts."""
        return self.lengths[rows] * np.array(self.dims)


def read_shapes(paths: Sequence[str]) -> Shapes:
    """Read shape files, lines `utterance length[,dim...]`.

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
    columns, dims = [], []
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
    """Return the lengths, all at once; too few where a value is malformed."""
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
