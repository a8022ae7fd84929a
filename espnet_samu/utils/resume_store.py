"""Results of a run on disk, for the run that goes on after a kill."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

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
        for part in sorted(self.folder.glob("*.json")):
            rows = json.loads(part.read_text(encoding="utf-8"))
            vectors = part.with_suffix(".npy")
            if vectors.exists():
                self._found.update(zip(map(tuple, rows), _read(vectors)))
            else:
                for *key, value in rows:
                    found = from_json(value) if from_json else value
                    self._found[tuple(key)] = found

    def __getitem__(self, key: Key) -> Any:
        """Return a result."""
        return self._found[key]

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
        if isinstance(values[0], np.ndarray):
            text = json.dumps(list(results), ensure_ascii=False)
            part = self._part(text)
            with atomic_write(part.with_suffix(".npy"), "wb") as file:
                np.save(file, np.stack(values), allow_pickle=False)
            # Not in memory a second time.
            values = list(_read(part.with_suffix(".npy")))
        else:
            rows = [[*key, value] for key, value in results.items()]
            text = json.dumps(rows, ensure_ascii=False)
            part = self._part(text)
        # After the vectors: a part without this file is none.
        with atomic_write(part) as file:
            file.write(text)
        self._found.update(zip(results, values))

    def remove(self) -> None:
        """Delete the parts of all runs."""
        self._found = {}
        shutil.rmtree(self._root, ignore_errors=True)

    def _part(self, text: str) -> Path:
        name = hashlib.sha256(text.encode()).hexdigest()[:16]
        return self.folder / f"{name}.json"


def _read(path: Path) -> Any:
    """Return vectors (N, D), mapped from the file."""
    import numpy as np

    return np.load(path, mmap_mode="r", allow_pickle=False)
