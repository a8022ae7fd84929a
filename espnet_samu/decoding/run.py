"""Translating the utterances of a data folder, whatever some of them are like."""

import logging
import time
from typing import Any, Callable, Dict, List, Optional, Sequence

import torch
from typeguard import typechecked

from espnet_samu.decoding.hypothesis import Translation
from espnet_samu.decoding.reasons import is_out_of_memory, reason_of
from espnet_samu.decoding.result_store import ResultStore
from espnet_samu.decoding.utterances import Reading, Utterance, UtteranceReader
from espnet_samu.utils.progress import progress
from espnet_samu.utils.sorted_batches import batches_by_length
from espnet_samu.utils.waveform import SAMPLING_RATE

# Batches that are read ahead and sorted by length; then their results are saved.
_WINDOW = 8

Translate = Callable[
    [Sequence[torch.Tensor], Sequence[Optional[str]]], List[List[Translation]]
]


class Run:
    """Translates utterances and remembers what became of each.

    An utterance that cannot be read or translated does not stop the others: it is
    logged, and its reason is kept. A batch that raises is translated again, one
    utterance at a time.

    Args:
        translate: Takes waveforms and target languages; ``Speech2Text.batch``.
        store: Where results are saved, and those of an earlier run are found.
        batch_size: Utterances that are translated together.
    """

    @typechecked
    def __init__(self, translate: Translate, store: ResultStore, batch_size: int):
        self.translate = translate
        self.store = store
        self.batch_size = batch_size
        self.failures: Dict[str, str] = {}
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
        """Translate the utterances that the store has not.

        Args:
            utterances: What is to be translated.
            make_reader: Makes the data set of some utterances.
            num_workers: Processes that read.
        """
        missing = [u for u in utterances if u not in self.store]
        self.n_utterances = len(utterances)
        self.n_found = len(utterances) - len(missing)
        if self.n_found:
            logging.info(
                f"{self.n_found} of {len(utterances)} utterances were translated before"
            )
        if not missing:
            return
        start = time.monotonic()
        readings = torch.utils.data.DataLoader(
            make_reader(missing),
            batch_size=None,
            num_workers=num_workers,
            collate_fn=_as_it_is,
        )
        window: List[Reading] = []
        for reading in progress(readings, len(missing), "utterances"):
            if reading.speech is not None:
                # A worker's tensor holds a file descriptor and shared memory.
                reading = reading._replace(speech=reading.speech.clone())
            window.append(reading)
            if len(window) == self.batch_size * _WINDOW:
                self._translate_window(window)
                window = []
        self._translate_window(window)
        self.seconds = time.monotonic() - start

    def report(self) -> Dict[str, Any]:
        """Figures of the run."""
        translated = self.n_utterances - self.n_found - len(self.failures)
        return {
            "utterances": self.n_utterances,
            "failed": len(self.failures),
            "translated_before": self.n_found,
            "translated": translated,
            "seconds_of_audio": self.seconds_of_audio,
            "seconds": self.seconds,
            "utterances_per_second": _ratio(translated, self.seconds),
            "real_time_factor": _ratio(self.seconds, self.seconds_of_audio),
        }

    def _translate_window(self, window: Sequence[Reading]) -> None:
        """Translate some utterances, batches of similar lengths, and save them."""
        for reading in window:
            if reading.speech is None:
                self._fail(reading, reading.reason)
        good = [reading for reading in window if reading.speech is not None]
        results: Dict[Utterance, List[Translation]] = {}
        lengths = [len(reading.speech) for reading in good]
        for chosen in batches_by_length(lengths, self.batch_size):
            batch = [good[i] for i in chosen]
            for reading, best in zip(batch, self._translate(batch), strict=True):
                if best is not None:
                    results[reading.utterance] = best
                    self.seconds_of_audio += len(reading.speech) / SAMPLING_RATE
        self.store.save(results)

    def _translate(self, batch: Sequence[Reading]) -> List[Optional[List[Translation]]]:
        """Results of a batch, None where there is none."""
        try:
            return self.translate(
                [reading.speech for reading in batch],
                [reading.utterance.tgt_lang for reading in batch],
            )
        except Exception as error:
            reason, without_memory = reason_of(error), is_out_of_memory(error)
        # Outside of the except clause, which holds the tensors of the batch.
        if without_memory and torch.cuda.is_available():
            torch.cuda.empty_cache()
        if len(batch) == 1:
            self._fail(batch[0], reason)
            return [None]
        logging.warning(
            f"a batch of {len(batch)} utterances is translated one by one: {reason}"
        )
        return [best for reading in batch for best in self._translate([reading])]

    def _fail(self, reading: Reading, reason: str) -> None:
        logging.error(f"utterance {reading.utterance.key} failed: {reason}")
        self.failures[reading.utterance.key] = reason


def _as_it_is(reading: Reading) -> Reading:
    return reading


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
