"""Decoding results: parts to resume from, and ESPnet's output files."""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from typeguard import typechecked

from espnet_samu.decoding.search import Translation
from espnet_samu.decoding.utterances import Utterance
from espnet_samu.utils.atomic import atomic_write
from espnet_samu.utils.kaldi_io import write_failures, write_text


class ResultStore:
    """Results of a run in parts; each part is a complete file or absent.

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
        self._found: dict[tuple[str, str], list[Translation]] = {}
        for part in sorted(self.folder.glob("*.json")):
            for key, source, best in json.loads(part.read_text(encoding="utf-8")):
                translations = [Translation(*fields) for fields in best]
                self._found[key, source] = translations

    def __contains__(self, utterance: Utterance) -> bool:
        """Return whether an utterance was translated."""
        return (utterance.key, utterance.source) in self._found

    def __getitem__(self, utterance: Utterance) -> list[Translation]:
        """Return the n-best translations of an utterance, best first."""
        return self._found[utterance.key, utterance.source]

    def save(self, results: Mapping[Utterance, list[Translation]]) -> None:
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


def write_results(
    output_dir: Path,
    utterances: Sequence[Utterance],
    store: ResultStore,
    failures: Mapping[str, str],
    nbest: int,
) -> None:
    """Write ``<n>best_recog/{text,token,token_int,score}``, and ``failed.scp``.

    Args:
        output_dir: Where they are written, each file at once. Folders of more than
            nbest translations, of an earlier run, are removed.
        utterances: In the order of the files.
        store: Their translations.
        failures: Why others have none.
        nbest: Number of translations of each.
    """
    done = [u for u in utterances if u.key not in failures]
    for n in range(1, nbest + 1):
        folder = output_dir / f"{n}best_recog"
        best = {u.key: store[u][n - 1] for u in done}
        columns = {
            "token": {key: " ".join(b.token) for key, b in best.items()},
            "token_int": {k: " ".join(map(str, b.token_int)) for k, b in best.items()},
            "score": {key: str(b.score) for key, b in best.items()},
            "text": {key: b.text for key, b in best.items()},
        }
        for name, column in columns.items():
            write_text(folder / name, column)
    n = nbest + 1
    while (output_dir / f"{n}best_recog").is_dir():
        shutil.rmtree(output_dir / f"{n}best_recog")
        n += 1
    write_failures(output_dir, failures)
