"""Utterances of a data folder, including the unreadable ones."""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from espnet2.train.dataset import ESPnetDataset
from typeguard import typechecked

from espnet_samu.text.languages import find_tgt_langs
from espnet_samu.utils.kaldi_io import read_text
from espnet_samu.utils.waveform import CheckedPreprocessor, UnusableWaveforms


def reason_of(error: BaseException, is_alone: bool = True) -> str:
    """Return the reason of an error, for failed.scp.

    Args:
        error: What was raised.
        is_alone: Whether the utterance was alone in its batch.
    """
    message = " ".join(str(error).split())
    if is_out_of_memory(error):
        if not is_alone:
            return f"out of memory: {message[:200]}"
        return (
            f"out of memory, alone in its batch: {message[:200]}; --chunk_seconds cuts "
            "long utterances in decoding"
        )
    if isinstance(error, UnusableWaveforms):
        message = "; ".join(error.reasons.values())
        if "longer than the window" in message:
            message += (
                "; cut it into segments in stage 1, or in decoding by --chunk_seconds"
            )
        return message
    # Errors of this package are understood without the name of their class.
    if type(error) is ValueError and message:
        return message
    return f"{type(error).__name__}: {message}"


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error is lack of memory, of device or machine."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    # The CPU's allocator raises no class of its own.
    return isinstance(error, RuntimeError) and "allocate memory" in str(error)


class Utterance(NamedTuple):
    """One line of a wav.scp."""

    key: str
    """Its id."""
    source: str
    """Its file, with size and time of change, and its target language."""
    tgt_lang: str | None
    """Name of the target language; None: the model's own."""

    @property
    def identity(self) -> tuple[str, str]:
        """Key of its result in the store of a run."""
        return self.key, self.source


class Reading(NamedTuple):
    """Waveform of an utterance, or the reason why it has none."""

    utterance: Utterance
    """Whose it is."""
    speech: torch.Tensor | None
    """Waveform (N,), or None."""
    reason: str
    """Why there is none."""


def list_utterances(
    wav_scp: str,
    key_file: str | None = None,
    tgt_lang: str | None = None,
    has_languages: bool = True,
) -> list[Utterance]:
    """Return the utterances to be translated.

    Args:
        wav_scp: File of lines ``id file``. ``utt2tgt_lang`` beside it has the target
            languages.
        key_file: File whose first column has the ids. None: all.
        tgt_lang: Of all utterances, in place of the file's.
        has_languages: Whether the model has target-language tokens.

    Raises:
        ValueError: A file is malformed, or an utterance has no target language.
    """
    files = read_text(wav_scp)
    keys = list(files if key_file is None else read_text(key_file))
    languages: Mapping[str, str | None] = dict.fromkeys(keys, tgt_lang)
    known = find_tgt_langs(wav_scp) if tgt_lang is None else None
    if known is not None and has_languages:
        without = [key for key in keys if key not in known]
        if without:
            raise ValueError(
                f"utt2tgt_lang beside {wav_scp} has no target language of "
                f"{len(without)} of {len(keys)} utterances, e.g. {without[0]}"
            )
        languages = known
    elif known is not None:
        logging.info(
            f"utt2tgt_lang beside {wav_scp} is not read: the model was trained "
            "without target-language tokens"
        )
    return [
        Utterance(key, source_of(files.get(key), languages[key]), languages[key])
        for key in keys
    ]


def source_of(file: str | None, language: str | None) -> str:
    """Return what a result depends on, besides the model."""
    try:
        # An ark's entry has its byte offset behind the name.
        stat = Path(re.sub(r":\d+$", "", file or "")).stat()
        file = f"{file} {stat.st_size} {stat.st_mtime_ns}"
    except OSError:
        pass
    return f"{file} {language}"


class UtteranceReader(torch.utils.data.Dataset):
    """Data set of waveforms, read in the workers of a data loader.

    ESPnet's own datasets raise there, which ends the loader.

    Args:
        wav_scp: File of lines ``id file``.
        kind: Type of the files as ESPnet names it: sound, kaldi_ark.
        utterances: What is read, in this order.
        preprocess: ESPnet's, or None.
    """

    @typechecked
    def __init__(
        self,
        wav_scp: str,
        kind: str,
        utterances: Sequence[Utterance],
        preprocess: Callable | None = None,
    ):
        self.wav_scp = wav_scp
        self.utterances = list(utterances)
        self.keys = set(read_text(wav_scp))
        files: tuple[str, str, str] = (wav_scp, "speech", kind)
        self.dataset = ESPnetDataset(
            [files],
            CheckedPreprocessor(wav_scp if kind == "sound" else None, preprocess),
            # Otherwise ESPnet compares all rates with the first; CheckedPreprocessor
            # checks each.
            allow_multi_rates=True,
        )

    def __len__(self) -> int:
        return len(self.utterances)

    def __getitem__(self, i: int) -> Reading:
        """Read one utterance; errors are returned, not raised."""
        utterance = self.utterances[i]
        if utterance.key not in self.keys:
            return Reading(utterance, None, f"is not in {self.wav_scp}")
        try:
            _, data = self.dataset[utterance.key]
            return Reading(utterance, torch.from_numpy(data["speech"]), "")
        except Exception as error:
            return Reading(utterance, None, reason_of(error))
