"""Corpora in parquet files, as the hub has them: shards, rows, recordings inside."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from espnet_samu.corpora.audio import EMPTY, MISSING, AudioFault, Clip
from espnet_samu.corpora.audio_store import ClipStore, Look, Recording, convert
from espnet_samu.utils.atomic import temporary_name
from espnet_samu.utils.safe_reading import check_no_pointer

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

AUDIO = "audio"
"""Column of the recordings: a struct of ``bytes``, a sound file, and ``path``."""
# Older versions of datasets put a checksum behind the number.
_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})(-[0-9a-f]{16})?\.parquet")
_ROWS = 4096  # rows of text that are read at once
_CLIPS = 16  # the same of recordings
_BUFFER = 2**20  # bytes that are read of a file at once


def check_mode(source: object, mode: str) -> None:
    """Raise an error where recordings of parquet files are not to be decoded.

    Args:
        source: The files, or the option that names them.
        mode: See :class:`AudioStore`.
    """
    if mode != "convert":
        raise ValueError(
            f"{source}: parquet files need --audio convert: their recordings are no "
            "files by themselves"
        )


def find_root(folder: Path) -> Path:
    """Return the folder that has the configurations of a dataset.

    Args:
        folder: It, as ``hf download --local-dir`` writes it, or that of the dataset in
            the hub's cache.
    """
    reference = folder / "refs" / "main"
    if reference.is_file():
        return folder / "snapshots" / reference.read_text("utf-8").strip()
    return folder


def find_shards(folder: Path, split: str) -> list[Path]:
    """Return the parquet files of a split.

    Args:
        folder: Of a configuration: ``<split>-00000-of-00002.parquet`` and so on,
            ``<split>/0000.parquet``, as in the hub's own conversions, or
            ``<split>.parquet``, as one's own are called.
        split: Such as train.

    Raises:
        ValueError: There is none, or some are missing.
    """
    found = [
        path
        for path in sorted(folder.glob(f"{split}-*.parquet"))
        if (shard := _SHARD.fullmatch(path.name)) is None or shard[1] == split
    ]
    found = found or sorted(folder.glob(f"{split}/*.parquet"))
    found = found or sorted(folder.glob(f"{split}.parquet"))
    if not found:
        raise ValueError(
            f"{folder}: no {split}-*.parquet; download it, too, or name another folder"
        )
    check_shards(found)
    return found


def check_shards(paths: Iterable[Path]) -> None:
    """Check by their names that shards are all there, and of one version.

    Args:
        paths: Parquet files, whose names need not have numbers.

    Raises:
        ValueError: Some are missing, or there are those of two versions.
    """
    numbers: dict[tuple[Path, str], list[tuple[int, int]]] = {}
    for path in paths:
        if match := _SHARD.fullmatch(path.name):
            place = (int(match[3]), int(match[2]))
            numbers.setdefault((path.parent, match[1]), []).append(place)
    for (folder, name), there in numbers.items():
        totals = {total for total, _ in there}
        total = max(totals)
        if len(totals) > 1 or len(set(there)) < len(there):
            raise ValueError(
                f"{folder}: {name}-*.parquet are shards of two versions: remove those "
                "of the old version"
            )
        if missing := sorted({*range(total)} - {number for _, number in there}):
            first = f"{name}-{missing[0]:05d}-of-{total:05d}.parquet"
            raise ValueError(
                f"{folder}: {len(missing)} of {total} shards are missing, such as "
                f"{first}; download them, too"
            )


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name a shard that cannot be read."""
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{path}: cut or damaged ({reason}); download it again"
        ) from None


def _open(path: Path, columns: Iterable[str]) -> pq.ParquetFile:
    """Open a shard that has columns of text, or recordings.

    Args:
        path: The shard.
        columns: Their names; ``audio.bytes`` is a field of a struct.

    Raises:
        ValueError: It is cut, or has other columns.
    """
    import pyarrow.parquet as pq

    check_no_pointer(path)
    with _named(path):
        # Pages are read one by one: a row group of the hub may be larger than memory.
        file = pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)
    schema = file.schema_arrow
    for column in columns:
        name, _, part = column.partition(".")
        kind = schema.field(name).type if name in schema.names else None
        if kind is None:
            raise ValueError(
                f"{path}: no column '{name}' among '{' '.join(schema.names)}'; is this "
                "the right dataset?"
            )
        if part and part not in _fields(kind):
            raise ValueError(
                f"{path}: the column '{name}' is {kind}, but a recording is a struct "
                "with bytes, a sound file, and path"
            )
    return file


def _fields(kind: pa.DataType) -> list[str]:
    """Return the names of the fields of a struct."""
    return [field.name for field in getattr(kind, "fields", [])]


def column_names(path: Path) -> list[str]:
    """Return the columns of a shard.

    Raises:
        ValueError: It is cut.
    """
    return list(_open(path, []).schema_arrow.names)


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Read the texts of a shard, and not its recordings.

    Args:
        path: The shard.
        columns: Names of columns; ``audio.path`` is a field of a struct.

    Yields:
        A row: the values as text, "" for null.

    Raises:
        ValueError: It is cut or damaged, or has other columns.
    """
    file = _open(path, columns)
    with _named(path):
        for batch in file.iter_batches(_ROWS, columns=[*columns]):
            values = []
            for column in columns:
                name, _, part = column.partition(".")
                array = batch.column(name)
                if part:
                    array = array.flatten()[_fields(array.type).index(part)]
                values.append(array.to_pylist())
            for row in zip(*values):
                yield tuple(["" if value is None else str(value) for value in row])


def read_clips(path: Path, rows: Sequence[int]) -> Iterator[bytes | None]:
    """Read recordings of a shard.

    Args:
        path: The shard.
        rows: Numbers of its rows from 0, in order. Other row groups are not read.

    Yields:
        A sound file; None for null.

    Raises:
        ValueError: It is cut or damaged, or has no recordings.
    """
    column = f"{AUDIO}.bytes"
    file = _open(path, [column])
    waiting = iter(rows)
    row, start = next(waiting, None), 0
    for group in range(file.num_row_groups):
        end = start + file.metadata.row_group(group).num_rows
        if row is None or row >= end:
            start = end
            continue
        with _named(path):
            batches = file.iter_batches(_CLIPS, row_groups=[group], columns=[column])
            for batch in batches:
                array = batch.column(AUDIO).flatten()[0]
                while row is not None and row < start + len(array):
                    yield array[row - start].as_py()
                    row = next(waiting, None)
                start += len(array)
                if row is None:
                    return
        start = end


class ShardStore(ClipStore):
    """Recordings of shards, by name, each decoded once.

    Args:
        folder: Of the converted recordings.
        jobs: Threads.
        places: Shard and row, from 0, of each recording by its path or name, whose
            last part is unique.
    """

    def __init__(
        self, folder: Path, jobs: int, places: Mapping[str, tuple[Path, int]]
    ) -> None:
        super().__init__(folder, "convert", jobs)
        self.places = places
        self._shards: dict[Path, tuple[int, int] | AudioFault] = {}

    def add(self, paths: Iterable[str]) -> dict[str, Recording | AudioFault]:
        """Return what recordings are, after decoding the new ones in threads.

        Args:
            paths: Names of recordings.

        Raises:
            ValueError: A shard is cut or damaged.
        """
        # Strings are compared faster than paths.
        places = {path: (str(shard), row) for path, (shard, row) in self.places.items()}
        return super().add(sorted(paths, key=places.__getitem__))

    def _status(self, path: str) -> tuple[int, int] | AudioFault:
        """Return size and time of change of the shard."""
        shard, _ = self.places[path]
        if shard not in self._shards:
            self._shards[shard] = super()._status(str(shard))
        return self._shards[shard]

    def _looks(self, paths: Iterable[str]) -> Iterator[Callable[[], Look]]:
        """Read row groups one after the other; threads decode."""
        for shard, group in groupby(paths, lambda path: self.places[path][0]):
            names = list(group)
            rows = [self.places[name][1] for name in names]
            logging.info(f"{shard}: {len(names)} recordings")
            for name, clip in zip(names, read_clips(shard, rows), strict=True):
                yield partial(self._look_inside, name, clip)

    def _look_inside(self, name: str, clip: bytes | None) -> Look:
        """Decode a recording; return what it is, and its line of the table."""
        key = self._status(name)
        if isinstance(key, AudioFault):
            raise ValueError(f"{self.places[name][0]}: {key}")
        output = self.output(name)
        try:
            if not clip:
                raise AudioFault(MISSING if clip is None else EMPTY)
            path = Path(f"{temporary_name(output)}{Path(name).suffix}")
            samples = convert(Clip(clip, path), output)
        except AudioFault as fault:
            return fault, (*key, -1, fault.reason, fault.detail)
        return Recording(str(output), samples), (*key, samples, str(output), "")
