"""Decoding results: those to resume from, and ESPnet's output files."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from typeguard import typechecked

from espnet_samu.decoding.search import Translation
from espnet_samu.decoding.utterances import Utterance
from espnet_samu.utils.kaldi_io import write_failures, write_text
from espnet_samu.utils.resume_store import ResumeStore


@typechecked
def translation_store(folder: Path, settings: Mapping[str, Any]) -> ResumeStore:
    """Return the n-best translations of a run, best first, by `Utterance.identity`.

    Args:
        folder: Of the parts of all runs.
        settings: What the translations depend on, besides the utterances.
    """

    def from_json(best: list[list[Any]]) -> list[Translation]:
        return [Translation(*fields) for fields in best]

    return ResumeStore(folder, settings, from_json)


def write_results(
    output_dir: Path,
    utterances: Sequence[Utterance],
    store: ResumeStore,
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
        best = {u.key: store[u.identity][n - 1] for u in done}
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
