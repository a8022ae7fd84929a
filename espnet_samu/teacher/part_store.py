"""Finished parts of a long computation of embeddings."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from typeguard import typechecked

from espnet_samu.utils.atomic import atomic_write


class PartStore:
    """Embeddings of lists of sentences, on disk until the whole is written.

    A part's name is the SHA-256 of the teacher's key and of its sentences. Parts of
    another teacher or of other sentences are therefore never found.

    Args:
        folder: Folder of the parts; made when the first one is saved.
        key: What the embeddings depend on, besides the sentences.
    """

    @typechecked
    def __init__(self, folder: str | os.PathLike[str], key: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        self.key = dict(key)

    def _path(self, sentences: Sequence[str]) -> Path:
        content = json.dumps([self.key, list(sentences)], sort_keys=True)
        return self.folder / f"{hashlib.sha256(content.encode()).hexdigest()}.npy"

    def __contains__(self, sentences: Sequence[str]) -> bool:
        """Tell whether these sentences, in this order, are a finished part."""
        return self._path(sentences).is_file()

    def load(self, sentences: Sequence[str]) -> np.ndarray:
        """Return the embeddings (N, D) of a finished part."""
        return np.load(self._path(sentences), allow_pickle=False)

    def save(self, sentences: Sequence[str], vectors: np.ndarray) -> None:
        """Write the embeddings (N, D) of N sentences, atomically."""
        with atomic_write(self._path(sentences), "wb") as f:
            np.save(f, vectors, allow_pickle=False)

    def remove(self) -> None:
        """Delete all parts, those of other keys too."""
        shutil.rmtree(self.folder, ignore_errors=True)
