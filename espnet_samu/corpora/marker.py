"""Markers of data preparation: which sets are there already, made of the same files."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from espnet_samu.corpora.data_dir import read_lines
from espnet_samu.utils.atomic import atomic_write


def code_sum() -> str:
    """Return a checksum of the code that prepares corpora."""
    code = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        code.update(file.read_bytes())
    return code.hexdigest()


class Marker:
    """File that says what sets were made of: options, files and code.

    Args:
        path: The file, which is written when all sets are there; ``counts.md`` is
            beside it.
        options: What decides the result.
        inputs: Files and folders that were read: sizes and times are compared, of all
            files in a folder, too.
        fingerprints: Of inputs that other markers of this run have looked at before;
            new ones are added. A folder may have a million clips.
    """

    def __init__(
        self,
        path: Path,
        options: Mapping[str, Any],
        inputs: Iterable[Path],
        fingerprints: dict[Path, list[int | str]] | None = None,
    ) -> None:
        self.path = path
        known = {} if fingerprints is None else fingerprints
        inputs = sorted(set(inputs))
        known.update({p: fingerprint(p) for p in inputs if p not in known})
        self.state: dict[str, Any] = {
            "options": dict(options),
            "inputs": {str(p): known[p] for p in inputs},
            "code": code_sum(),
        }

    def make(self, outputs: Sequence[Path], make: Callable[[], None]) -> None:
        """Make sets unless they are there already, and print their counts.

        Args:
            outputs: Data directories.
            make: Writes them, and ``counts.md``.

        Raises:
            ValueError: Two sets have one name.
        """
        check_distinct(outputs)
        counts = self.path.with_name("counts.md")
        if self.is_current(outputs) and counts.is_file():
            logging.info(f"{self.path.parent.name}: the sets are there already")
        else:
            self.clear()
            make()
            self.set(outputs)
        print(counts.read_text("utf-8"))

    def is_current(self, outputs: Iterable[Path]) -> bool:
        """Whether all was made so, and is still there as it was.

        Args:
            outputs: Data directories; another scenario may have written some anew.
        """
        outputs = list(outputs)
        return self._read() == {**self.state, "outputs": written(outputs)} and all(
            map(has_audio, outputs)
        )

    def changed(self) -> list[str]:
        """Return the inputs that are not what they were when the marker was set."""
        before = self._read().get("inputs", {})
        now = self.state["inputs"]
        return [path for path in before if before[path] != now.get(path)]

    def _read(self) -> dict[str, Any]:
        """Return what the marker says; nothing if it is not there."""
        try:
            return json.loads(self.path.read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            return {}

    def clear(self) -> None:
        """Remove the marker, before the sets are made again."""
        self.path.unlink(missing_ok=True)

    def set(self, outputs: Iterable[Path]) -> None:
        """Write the marker, after all sets were made.

        Args:
            outputs: Data directories.
        """
        with atomic_write(self.path) as f:
            json.dump({**self.state, "outputs": written(outputs)}, f, indent=2)
            f.write("\n")


def check_distinct(outputs: Iterable[Path]) -> None:
    """Raise an error if two sets would be written to one data directory.

    Raises:
        ValueError: Names the directory.
    """
    seen: set[Path] = set()
    for path in outputs:
        if path in seen:
            raise ValueError(f"two sets would be written to {path}: rename one of them")
        seen.add(path)


def fingerprint(path: Path) -> list[int | str]:
    """Return size and time of change in nanoseconds; nothing for what is not there.

    Of a folder: one sum over those of its files, which may change in place.
    """
    if not path.exists():
        return []
    if path.is_dir():
        total = 0  # whatever the order, and without a list of a million clips
        with os.scandir(path) as entries:
            for entry in entries:
                try:
                    status = _size_and_time(entry.stat())
                except OSError:  # a link that leads nowhere
                    status = []
                line = f"{entry.name} {status}".encode(errors="surrogateescape")
                total ^= int.from_bytes(hashlib.blake2b(line, digest_size=16).digest())
        return [f"{total:032x}"]
    return [*_size_and_time(path.stat())]


def _size_and_time(status: os.stat_result) -> list[int]:
    return [status.st_size, status.st_mtime_ns]


def has_audio(data_dir: Path) -> bool:
    """Return whether all that wav.scp names is there: dump/ may have been removed."""
    names: dict[bytes, list[bytes]] = {}
    for _, wav in read_lines(data_dir / "wav.scp"):
        folder, _, name = wav.rpartition(b"/")
        names.setdefault(folder, []).append(name)
    try:
        # To list a folder is faster than to look at each of its files.
        return all(set(os.listdir(f)).issuperset(n) for f, n in names.items())
    except FileNotFoundError:
        return False


def written(outputs: Iterable[Path]) -> dict[str, list[int | str]]:
    """Return the fingerprints of data directories."""
    return {str(folder): fingerprint(folder / "wav.scp") for folder in outputs}
