"""Remember that something was made, of what, and how."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from covost2.sets import lines

from espnet_samu.utils.atomic import atomic_write

CODE = Path(__file__).parent


class Marker:
    """Says whether sets are there already, made of the same files by the same code.

    Args:
        path: File that is there when all is made.
        options: What decides the result.
        inputs: Files and folders that were read: their sizes and times are compared.
    """

    def __init__(
        self, path: Path, options: Mapping[str, Any], inputs: Iterable[Path]
    ) -> None:
        self.path = path
        code = hashlib.sha256()
        for file in sorted(CODE.glob("*.py")):
            code.update(file.read_bytes())
        self.state = {
            "options": dict(options),
            "inputs": {str(p): fingerprint(p) for p in sorted(set(inputs))},
            "code": code.hexdigest(),
        }

    def is_current(self, outputs: Iterable[Path]) -> bool:
        """Whether all was made so, and is still there as it was.

        Args:
            outputs: Data directories; another scenario may have written some anew.
        """
        try:
            state = json.loads(self.path.read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            return False
        outputs = list(outputs)
        return state == {**self.state, "outputs": written(outputs)} and all(
            map(has_audio, outputs)
        )

    def clear(self) -> None:
        """Say that it is being made again."""
        self.path.unlink(missing_ok=True)

    def set(self, outputs: Iterable[Path]) -> None:
        """Say that all is made.

        Args:
            outputs: Data directories.
        """
        with atomic_write(self.path) as f:
            json.dump({**self.state, "outputs": written(outputs)}, f, indent=2)
            f.write("\n")


def fingerprint(path: Path) -> list[int]:
    """Return size and time of change in nanoseconds; nothing for what is not there."""
    if not path.exists():
        return []
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def has_audio(data_dir: Path) -> bool:
    """Return whether all that wav.scp names is there: dump/ may have been removed."""
    names: dict[bytes, list[bytes]] = {}
    for _, wav in lines(data_dir / "wav.scp"):
        folder, _, name = wav.rpartition(b"/")
        names.setdefault(folder, []).append(name)
    try:
        # To list a folder is faster than to look at each of its files.
        return all(set(os.listdir(f)).issuperset(n) for f, n in names.items())
    except FileNotFoundError:
        return False


def written(outputs: Iterable[Path]) -> dict[str, list[int]]:
    """Return the fingerprints of data directories."""
    return {str(folder): fingerprint(folder / "wav.scp") for folder in outputs}
