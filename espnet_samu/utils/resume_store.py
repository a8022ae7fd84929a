"""Results of a run on disk, for the run that goes on after a kill."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from typeguard import typechecked

from espnet_samu.utils.atomic import atomic_write

Key = tuple[str, ...]
"""What a result is found again by, beside the run's settings."""


def file_identity(name: str | None) -> Any:
    """Return what tells a model from another one, for settings.

    Args:
        name: File or folder of a pack: its real path, with size and time of change (ns)
            of the file, or of meta.yaml; a hub id or None: itself.
    """
    if name is None or not Path(name).exists():
        return name
    path = Path(name).resolve()
    status = (path / "meta.yaml" if path.is_dir() else path).stat()
    return [str(path), status.st_size, status.st_mtime_ns]


class _Row(NamedTuple):
    """Where a vector is."""

    file: Path
    row: int


class ResumeStore(Mapping[Key, Any]):
    """Results by key, saved in parts; each part is complete or absent.

    The parts of a run are in a folder named by a hash of what all its results depend
    on: those of another model or of other settings are never found. A result is a
    vector (D,), which is read when it is asked for, or what JSON can hold.

    Args:
        folder: Of all runs; made with the first part.
        settings: What all results depend on.
        from_json: Makes a result of what JSON gives.
    """

    @typechecked
    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, Any],
        from_json: Callable[[Any], Any] | None = None,
    ) -> None:
        content = json.dumps(settings, sort_keys=True, default=str)
        self._root = folder
        self.folder = folder / hashlib.sha256(content.encode()).hexdigest()[:16]
        self._found: dict[Key, Any] = {}
        # Vectors of one part at a time: neighbours are asked for one after the other.
        self._part_read: Path | None = None
        self._vectors: Any = None
        for part in sorted(self.folder.glob("*.json")):
            rows = json.loads(part.read_text(encoding="utf-8"))
            vectors = part.with_suffix(".npy")
            if vectors.exists():
                self._found.update(_places(vectors, map(tuple, rows)))
            else:
                for *key, value in rows:
                    found = from_json(value) if from_json else value
                    self._found[tuple(key)] = found

    def __getitem__(self, key: Key) -> Any:
        """Return a result."""
        found = self._found[key]
        if not isinstance(found, _Row):
            return found
        if found.file != self._part_read:
            import numpy as np

            # Not mapped: each open part would hold a file descriptor.
            self._vectors = np.load(found.file, allow_pickle=False)
            self._part_read = found.file
        return self._vectors[found.row]

    def __iter__(self) -> Iterator[Key]:
        """Iterate over the keys."""
        return iter(self._found)

    def __len__(self) -> int:
        """Number of results."""
        return len(self._found)

    def save(self, results: Mapping[Key, Any]) -> None:
        """Add results as a part: vectors (D,), or what JSON can hold."""
        if not results:
            return
        import numpy as np

        values = list(results.values())
        found: Mapping[Key, Any] = results
        if isinstance(values[0], np.ndarray):
            text = json.dumps(list(results), ensure_ascii=False)
            part = self._part(text)
            with atomic_write(part.with_suffix(".npy"), "wb") as file:
                np.save(file, np.stack(values), allow_pickle=False)
            found = _places(part.with_suffix(".npy"), results)
        else:
            rows = [[*key, value] for key, value in results.items()]
            text = json.dumps(rows, ensure_ascii=False)
            part = self._part(text)
        # After the vectors: a part without this file is none.
        with atomic_write(part) as file:
            file.write(text)
        self._found.update(found)

    def remove(self) -> None:
        """Delete the parts of all runs."""
        self._found = {}
        shutil.rmtree(self._root, ignore_errors=True)

    def _part(self, text: str) -> Path:
        name = hashlib.sha256(text.encode()).hexdigest()[:16]
        return self.folder / f"{name}.json"


def _places(file: Path, keys: Iterable[Key]) -> dict[Key, _Row]:
    """Return where the vectors of a part are."""
    return {key: _Row(file, row) for row, key in enumerate(keys)}
