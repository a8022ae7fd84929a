"""Translations that were made before a decoding run was killed."""

import hashlib
import json
from pathlib import Path
from typing import Any, Dict, List, Mapping, Tuple

from typeguard import typechecked

from espnet_samu.decoding.hypothesis import Translation
from espnet_samu.decoding.utterances import Utterance
from espnet_samu.utils.atomic import atomic_write


class ResultStore:
    """Parts of the results of a run, each a file that is complete or not there.

    The parts of a run are in a folder named by a hash of what all translations depend
    on; each translation stands beside its utterance's source. Those of another model,
    of other settings or of another recording are never taken.

    Args:
        folder: Folder of all runs; made with the first part.
        settings: What the translations depend on, besides the utterances.
    """

    @typechecked
    def __init__(self, folder: Path, settings: Mapping[str, Any]):
        content = json.dumps(settings, sort_keys=True, default=str)
        name = hashlib.sha256(content.encode()).hexdigest()[:16]
        self.folder = folder / name
        self._found: Dict[Tuple[str, str], List[Translation]] = {}
        for part in sorted(self.folder.glob("*.json")):
            for key, source, best in json.loads(part.read_text(encoding="utf-8")):
                translations = [Translation(*fields) for fields in best]
                self._found[key, source] = translations

    def __contains__(self, utterance: Utterance) -> bool:
        """Whether an utterance was translated."""
        return (utterance.key, utterance.source) in self._found

    def __getitem__(self, utterance: Utterance) -> List[Translation]:
        """The n best translations of an utterance, best first."""
        return self._found[utterance.key, utterance.source]

    def save(self, results: Mapping[Utterance, List[Translation]]) -> None:
        """Add the results of some utterances."""
        if not results:
            return
        for utterance, best in results.items():
            self._found[utterance.key, utterance.source] = best
        rows = [[u.key, u.source, list(map(list, b))] for u, b in results.items()]
        text = json.dumps(rows, ensure_ascii=False)
        name = hashlib.sha256(text.encode()).hexdigest()[:16]
        with atomic_write(self.folder / f"{name}.json") as file:
            file.write(text)
