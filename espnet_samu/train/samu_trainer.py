"""Trainer of the distillation."""

import argparse
import dataclasses
import functools

import numpy as np
from espnet2.train.trainer import TrainerOptions
from espnet2.utils.build_dataclass import build_dataclass

from espnet_samu.retrieval.scores import recall_at_1
from espnet_samu.train.safe_trainer import SafeTrainer
from espnet_samu.utils.distributed import gather_objects
from espnet_samu.utils.kaldi_io import read_text
from espnet_samu.utils.language_codes import merge_spellings


@dataclasses.dataclass
class SAMUTrainerOptions(TrainerOptions):
    """ESPnet's options and ours."""

    valid_utt2lang: str | None
    """File of the language of each validation utterance."""


class SAMUTrainer(SafeTrainer):
    """Trainer that computes R@1 over the whole validation set, not inside batches.

    What a validation epoch reports beside the means over its batches, for
    ``best_model_criterion``: ``r1_speech_text``, ``r1_text_speech`` and their mean
    ``r1``. With ``--valid_utt2lang`` each language is a pool of its own.

    Reference: Khurana et al., "SAMU-XLSR", arXiv 2205.08180: their public training
    code chooses the checkpoint by the mean R@1 of both directions.
    """

    @classmethod
    def build_options(cls, args: argparse.Namespace) -> SAMUTrainerOptions:
        """Return the options of one run."""
        return build_dataclass(SAMUTrainerOptions, args)

    @classmethod
    def validate_one_epoch(cls, options, **kwargs) -> None:
        """Validate, then compute R@1."""
        model, reporter = kwargs["model"], kwargs["reporter"]
        inner = getattr(model, "module", model)
        inner.record = []
        try:
            super().validate_one_epoch(options, **kwargs)
            record = inner.record
        finally:
            inner.record = None
        # Processes may repeat an utterance to have equal numbers of batches.
        table = {
            utt: vectors
            for part in gather_objects(record)
            for utts, students, teachers in part
            for utt, *vectors in zip(utts, students, teachers)
        }
        if not table:
            return
        langs = None
        if options.valid_utt2lang is not None:
            utt2lang = _read_languages(options.valid_utt2lang)
            missing = [utt for utt in table if utt not in utt2lang]
            if missing:
                raise ValueError(
                    f"--valid_utt2lang {options.valid_utt2lang} misses {len(missing)} "
                    f"of {len(table)} validation utterances, e.g. {missing[0]}"
                )
            langs = [utt2lang[utt] for utt in table]
        student, teacher = (np.stack(side) for side in zip(*table.values()))
        reporter.register(recall_at_1(student, teacher, langs))
        reporter.next()


@functools.cache  # used in every epoch, and logs once what it merges
def _read_languages(path: str) -> dict[str, str]:
    """Return the language of each utterance of an utt2lang file."""
    (utt2lang,) = merge_spellings(path, read_text(path, allow_empty=False))
    return utt2lang
