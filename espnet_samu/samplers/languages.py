"""Which language each utterance is in."""

import dataclasses
import os
from pathlib import Path

import numpy as np

from espnet_samu.samplers.two_columns import read_blocks
from espnet_samu.samplers.utterance_index import UtteranceIndex


@dataclasses.dataclass(frozen=True)
class Languages:
    """Languages of N utterances."""

    names: tuple[str, ...]
    """L names, sorted."""
    codes: np.ndarray
    """Index (N,) into names, int32."""

    @property
    def counts(self) -> np.ndarray:
        """Utterances (L,) of each language, none of them zero."""
        return np.bincount(self.codes, minlength=len(self.names))


def find_category_file(folder: str | os.PathLike[str]) -> Path:
    """Return `utt2category` of a data folder, `utt2lang` if there is none.

    Raises:
        FileNotFoundError: There is neither; says what to make.
    """
    for name in ("utt2category", "utt2lang"):
        if (path := Path(folder) / name).exists():
            return path
    raise FileNotFoundError(
        f"balance_languages: there is no utt2lang in '{folder}', the folder of the "
        "first training data file; make it, lines 'utterance language', or set "
        "balance_languages: false"
    )


def read_languages(
    path: str | os.PathLike[str], utterances: np.ndarray, n_examples: int = 3
) -> Languages:
    """Read the languages of some utterances, lines `utterance language`.

    Args:
        path: File of these utterances, and maybe others.
        utterances: Names (N,), bytes.
        n_examples: So many missing utterances are named.

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
            examples = ", ".join(u.decode() for u in utterances[missing[:n_examples]])
            raise ValueError(
                f"{path}: {len(missing)} of {len(utterances)} training utterances have "
                f"no language, e.g. {examples}; add a line 'utterance language' for "
                "each (speed-perturbed copies too), or set balance_languages: false"
            )
        code = code[rows]
    # Only the languages that are left, by name: numbers that a new line in the file
    # does not change.
    decoded = [name.decode() for name in names]
    present = np.flatnonzero(np.bincount(code, minlength=len(names)))
    order = sorted(present, key=lambda i: decoded[i])
    number = np.zeros(len(names), dtype=np.int32)
    number[order] = np.arange(len(order))
    return Languages(tuple(decoded[i] for i in order), number[code])
