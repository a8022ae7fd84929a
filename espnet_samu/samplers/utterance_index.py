"""Where an utterance stands in a list of millions."""

import numpy as np
from typeguard import typechecked


class UtteranceIndex:
    """Finds utterances by name; a sorted array instead of a dictionary of strings.

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
        """Find utterances.

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
