"""Kaldi's text files (`id value...`) and ark/scp archives of vectors."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from espnet_samu.utils.atomic import atomic_write
from espnet_samu.utils.safe_reading import check_no_pointer

FAILED = "failed.scp"
"""Beside embeddings or translations: the utterances that have none, and why."""

# Kaldi splits at ASCII blanks only; str.split() would also cut at U+00A0 or U+3000
_BLANKS = " \t"
_MARK = "\ufeff"  # byte order mark of editors, also before a line of a joined file
_PLACE = re.compile(r"(.+):(\d{1,18})")


def iterate_text(
    path: str | os.PathLike[str], allow_empty: bool = True
) -> Iterator[tuple[int, str, str]]:
    """Read a file of lines `id value...` one by one, byte order marks left out.

    Args:
        path: File in UTF-8, one entry a line.
        allow_empty: Whether an id may stand alone (its value is "" then).

    Yields:
        Line number (from 1), id, value without blanks around it.

    Raises:
        ValueError: Naming file and line, for bytes that are not UTF-8, a line without
            an id, a repeated id, and (unless `allow_empty`) an id without a value.
    """
    check_no_pointer(path)
    seen: dict[str, int] = {}
    with open(path, "rb") as f:
        for number, raw in enumerate(f, 1):
            try:
                line = raw.decode("utf-8").rstrip("\r\n").removeprefix(_MARK)
            except UnicodeDecodeError as e:
                raise ValueError(f"{path}:{number}: not UTF-8: {e}") from None
            if not line or line[0] in _BLANKS:
                raise ValueError(f"{path}:{number}: line must start with an id")
            end = min((i for i in map(line.find, _BLANKS) if i >= 0), default=len(line))
            key, value = line[:end], line[end:].strip(_BLANKS)
            value = value.removeprefix(_MARK).strip(_BLANKS)
            if key in seen:
                raise ValueError(
                    f"{path}:{number}: id '{key}' is already on line {seen[key]}"
                )
            if not value and not allow_empty:
                raise ValueError(f"{path}:{number}: id '{key}' has no value")
            seen[key] = number
            yield number, key, value


def read_text(path: str | os.PathLike[str], allow_empty: bool = True) -> dict[str, str]:
    """Read a whole file of lines `id value...`, in the order of the file.

    Args:
        path: File in UTF-8, one entry a line.
        allow_empty: Whether an id may stand alone (its value is "" then).

    Returns:
        Value of every id.

    Raises:
        ValueError: As `iterate_text`, and for a file without any line.
    """
    table = {key: value for _, key, value in iterate_text(path, allow_empty)}
    if not table:
        raise ValueError(f"{path}: file is empty")
    return table


def write_text(path: str | os.PathLike[str], table: Mapping[str, str]) -> None:
    """Write lines `id value...` in the order of `table`, atomically.

    Args:
        path: File to write.
        table: Value of every id.

    Raises:
        ValueError: For an id that is empty or has blanks, a value with a line end.
    """
    with atomic_write(path) as f:
        for key, value in table.items():
            if not key or any(c.isspace() for c in key):
                raise ValueError(f"id must be without blanks: {key!r}")
            if "\n" in value or "\r" in value:
                raise ValueError(f"value of '{key}' must be one line: {value!r}")
            f.write(f"{key} {value}\n" if value else f"{key}\n")


class ForbiddenEntry(ValueError):
    """Error for an scp entry that Kaldi's readers would execute."""


def ark_place(entry: str) -> tuple[str, int]:
    """Return file and offset of an scp entry ``FILE:OFFSET``.

    Kaldi's readers take a command for an entry, too (``cat a.ark |``), and run it. We
    write places in archives only, and files may come from strangers: there is nothing
    else to read.

    Raises:
        ForbiddenEntry: The entry is a command.
        ValueError: It is anything else but a place.
    """
    match = _PLACE.fullmatch(entry)
    file = match[1].strip() if match else ""
    if entry.strip("| \t") != entry or file.strip("|") != file:
        raise ForbiddenEntry(f"is a command, which is not run: {entry!r}")
    if match is None or file in ("", "-"):
        raise ValueError(f"is not FILE:OFFSET, a place in an archive: {entry!r}")
    return match[1], int(match[2])


def check_data_files(files: Iterable[tuple[str, str, str]]) -> None:
    """Check that scp files have no commands, before ESPnet reads them.

    Args:
        files: ``(path, name, type)`` each, as ESPnet's options have them; those of
            type ``kaldi_ark`` are checked.

    Raises:
        ValueError: Naming file and line.
    """
    for scp in (path for path, _, kind in files if kind == "kaldi_ark"):
        for number, key, entry in iterate_text(scp, allow_empty=False):
            try:
                ark_place(entry)
            except ValueError as error:
                raise ValueError(f"{scp}:{number}: entry of '{key}' {error}") from None


class Archives:
    """Reader of scp entries; archives stay open until the block ends.

    Examples:
        >>> with Archives() as archives:
        ...     vector = archives.read("exp/embed.ark:12")
    """

    def __init__(self) -> None:
        self._files: dict[str, BinaryIO] = {}

    def __enter__(self) -> "Archives":
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def read(self, entry: str) -> Any:
        """Return the array of an entry, or the rate and the array of a waveform.

        Raises:
            OSError: There is no such file.
            ForbiddenEntry: The entry is a command, or a pickle is at its place.
            ValueError: It is no place in an archive, or what is there cannot be read.
        """
        from kaldiio.matio import read_kaldi

        path, offset = ark_place(entry)
        if path not in self._files:
            self._files[path] = open(path, "rb")
        file = self._files[path]
        file.seek(offset)
        head = file.read(10)
        if head.startswith(b"PKL"):
            raise ForbiddenEntry(f"is a pickle, which is not run: {entry!r}")
        file.seek(offset)
        try:
            array = read_kaldi(file)
        except Exception as error:
            # The library asserts; what it raises for other bytes may be anything.
            raise ValueError(f"cannot be read: {entry!r} ({error!r})") from error
        # It takes what is left of an archive that was cut.
        if (
            head.startswith(b"\0BFV \4")
            and len(array).to_bytes(4, "little") != head[6:]
        ):
            raise ValueError(f"cannot be read: {entry!r} (the archive is cut)")
        return array


def write_failures(folder: str | os.PathLike[str], failures: Mapping[str, str]) -> None:
    """Write failed.scp; remove it where nothing has failed.

    Args:
        folder: Folder of the results.
        failures: Reason of every utterance without a result.
    """
    path = Path(folder) / FAILED
    if failures:
        write_text(path, failures)
    else:
        path.unlink(missing_ok=True)


def read_failures(result: str | os.PathLike[str]) -> dict[str, str]:
    """Read the failed.scp beside a result.

    Args:
        result: Embeddings or translations.

    Returns:
        Reason of every utterance without a result; empty where there is no file.
    """
    path = Path(result).parent / FAILED
    return read_text(path) if path.is_file() else {}


def read_vectors(scp: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read every vector that an scp file names.

    Args:
        scp: File of lines `id file:offset`; several ids may share an offset.

    Returns:
        Vector (D,) of every id, in the order of the file, float32. Ids that share an
        offset share one array.

    Raises:
        ValueError: Naming file and line, for malformed or repeated entries, commands
            and pickles among them, and for an entry that is not a vector of the same
            size D as the first one.
    """
    vectors: dict[str, np.ndarray] = {}
    by_place: dict[str, np.ndarray] = {}
    size: int | None = None
    with Archives() as archives:
        for number, key, place in iterate_text(scp, allow_empty=False):
            if place not in by_place:
                try:
                    vector = archives.read(place)
                except (OSError, ValueError) as error:
                    raise ValueError(
                        f"{scp}:{number}: entry of '{key}' {error}"
                    ) from error
                shape = getattr(vector, "shape", None)
                if shape is None or len(shape) != 1 or shape[0] != (size or shape[0]):
                    raise ValueError(
                        f"{scp}:{number}: '{key}' must be a vector of size "
                        f"{size or 'D'}: shape {shape}"
                    )
                size = shape[0]
                by_place[place] = np.asarray(vector, dtype=np.float32)
            vectors[key] = by_place[place]
    if not vectors:
        raise ValueError(f"{scp}: file is empty")
    return vectors


def write_vectors(
    folder: str | os.PathLike[str],
    vectors: Iterable[tuple[str, np.ndarray]],
    entry_of: Mapping[str, str] | None = None,
) -> Path:
    """Write vectors to `embed.ark` and `embed.scp`, atomically.

    Args:
        folder: Output folder; the scp names the ark by it, as it is given.
        vectors: Pairs of id and vector (D,), stored as float32; may be a generator.
        entry_of: For every id of the scp the id in `vectors` whose entry it shares;
            default is one line for every vector.

    Returns:
        Path of the scp file.

    Raises:
        ValueError: For an id given twice, and vectors that are not (D,) and finite.
    """
    from kaldiio.matio import write_array

    ark, scp = Path(folder) / "embed.ark", Path(folder) / "embed.scp"
    places: dict[str, str] = {}
    with atomic_write(ark, "wb") as f:
        for key, vector in vectors:
            vector = np.ascontiguousarray(vector, dtype=np.float32)
            if key in places:
                raise ValueError(f"id '{key}' is given twice")
            if vector.ndim != 1 or not np.isfinite(vector).all():
                raise ValueError(
                    f"'{key}' must be a finite vector (D,): shape {vector.shape}"
                )
            f.write(f"{key} ".encode())
            places[key] = f"{ark}:{f.tell()}"
            write_array(f, vector)
        scp.unlink(missing_ok=True)  # offsets of an older ark are not valid any more
    if entry_of is not None:
        places = {key: places[entry] for key, entry in entry_of.items()}
    write_text(scp, places)
    return scp
