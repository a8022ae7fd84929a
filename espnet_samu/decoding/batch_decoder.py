"""A model run over the utterances of a data folder: results, failures, output files."""

import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from typeguard import typechecked

from espnet_samu.decoding.search import Translation
from espnet_samu.decoding.utterances import (
    Reading,
    Utterance,
    UtteranceReader,
    is_out_of_memory,
    reason_of,
)
from espnet_samu.utils.command import progress
from espnet_samu.utils.kaldi_io import write_failures, write_text
from espnet_samu.utils.resume_store import Key, ResumeStore
from espnet_samu.utils.torch_modules import keep_freed_memory
from espnet_samu.utils.waveform import SAMPLING_RATE

# Batches that are read ahead and sorted by length; then their results are saved.
_WINDOW = 8

Apply = Callable[[Sequence[torch.Tensor], Sequence[str | None]], Sequence[Any]]


class Run:
    """Translation or embedding of a data folder, with the outcome of each utterance.

    An utterance that cannot be read, translated or embedded does not stop the others:
    it is logged, and its reason is kept. A batch that raises is tried again, one
    utterance at a time.

    Args:
        apply: Takes waveforms and target languages; ``Speech2Text.batch``.
        store: Where results are saved, and those of an earlier run are found, by
            ``Utterance.identity``.
        batch_size: Utterances that are translated or embedded together.
    """

    @typechecked
    def __init__(self, apply: Apply, store: ResumeStore, batch_size: int):
        self.apply = apply
        self.store = store
        self.batch_size = batch_size
        self.failures: dict[str, str] = {}
        self.n_utterances = 0
        self.n_found = 0
        self.seconds_of_audio = 0.0
        self.seconds = 0.0

    def run(
        self,
        utterances: Sequence[Utterance],
        make_reader: Callable[[Sequence[Utterance]], UtteranceReader],
        num_workers: int = 1,
    ) -> None:
        """Process the utterances that the store lacks.

        Args:
            utterances: What is to be translated or embedded.
            make_reader: Makes the data set of some utterances.
            num_workers: Processes that read.
        """
        missing = [u for u in utterances if u.identity not in self.store]
        self.n_utterances = len(utterances)
        self.n_found = len(utterances) - len(missing)
        if self.n_found:
            logging.info(
                f"{self.n_found} of {len(utterances)} utterances were done before"
            )
        if not missing:
            return
        keep_freed_memory()
        start = time.monotonic()
        readings = torch.utils.data.DataLoader(
            make_reader(missing),
            batch_size=None,
            num_workers=num_workers,
            collate_fn=_as_it_is,
        )
        window: list[Reading] = []
        for reading in progress(readings, len(missing), "utterances", seconds=10):
            if reading.speech is not None:
                # A worker's tensor holds a file descriptor and shared memory.
                reading = reading._replace(speech=reading.speech.clone())
            window.append(reading)
            if len(window) == self.batch_size * _WINDOW:
                self._run_window(window)
                window = []
        self._run_window(window)
        self.seconds = time.monotonic() - start

    def report(self) -> dict[str, Any]:
        """Return figures of the run."""
        done = self.n_utterances - self.n_found - len(self.failures)
        return {
            "utterances": self.n_utterances,
            "failed": len(self.failures),
            "translated_before": self.n_found,
            "translated": done,
            "seconds_of_audio": self.seconds_of_audio,
            "seconds": self.seconds,
            "utterances_per_second": _ratio(done, self.seconds),
            "real_time_factor": _ratio(self.seconds, self.seconds_of_audio),
        }

    def _run_window(self, window: Sequence[Reading]) -> None:
        """Process utterances in batches of similar lengths, and save the results."""
        for reading in window:
            if reading.speech is None:
                self._fail(reading.utterance, reading.reason)
        good = [(r.utterance, r.speech) for r in window if r.speech is not None]
        results: dict[Key, Any] = {}
        lengths = [len(speech) for _, speech in good]
        for chosen in batches_by_length(lengths, self.batch_size):
            batch = [good[i] for i in chosen]
            found = self._run_batch(batch)
            for (utterance, speech), result in zip(batch, found, strict=True):
                if result is not None:
                    results[utterance.identity] = result
                    self.seconds_of_audio += len(speech) / SAMPLING_RATE
        self.store.save(results)

    def _run_batch(
        self, batch: Sequence[tuple[Utterance, torch.Tensor]]
    ) -> Sequence[Any]:
        """Return the results of a batch, None for utterances that failed."""
        try:
            return self.apply(
                [speech for _, speech in batch],
                [utterance.tgt_lang for utterance, _ in batch],
            )
        except Exception as error:
            reason = reason_of(error, is_alone=len(batch) == 1)
            without_memory = is_out_of_memory(error)
        # Outside of the except clause, which holds the tensors of the batch.
        if without_memory and torch.cuda.is_available():
            torch.cuda.empty_cache()
        if len(batch) == 1:
            self._fail(batch[0][0], reason)
            return [None]
        logging.warning(
            f"the utterances of a batch of {len(batch)} are tried one by one: {reason}"
        )
        return [result for single in batch for result in self._run_batch([single])]

    def _fail(self, utterance: Utterance, reason: str) -> None:
        logging.error(f"utterance {utterance.key} failed: {reason}")
        self.failures[utterance.key] = reason


def batches_by_length(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Group items of similar lengths, longest first.

    Args:
        lengths: Of the items.
        batch_size: Largest number of items of a batch.

    Returns:
        Places of the items of each batch.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]


def _as_it_is(reading: Any) -> Any:
    return reading


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


@typechecked
def translation_store(folder: Path, settings: Mapping[str, Any]) -> ResumeStore:
    """Return the n-best translations of a run, best first, by ``Utterance.identity``.

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
