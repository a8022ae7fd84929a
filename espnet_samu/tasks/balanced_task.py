"""Language balancing for ESPnet tasks, and the table of what it changes."""

import argparse
import dataclasses
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from espnet2.iterators.abs_iter_factory import AbsIterFactory
from espnet2.iterators.sequence_iter_factory import SequenceIterFactory
from espnet2.tasks.abs_task import AbsTask, IteratorOptions
from espnet2.train.distributed_utils import DistributedOption
from espnet2.utils import config_argparse
from espnet2.utils.types import str2bool

from espnet_samu.samplers.balanced_sampler import BalancedSampler
from espnet_samu.samplers.data_files import (
    find_category_file,
    read_languages,
    read_shapes,
)
from espnet_samu.samplers.iter_factory import BalancedIterFactory
from espnet_samu.scoring.table import format_number, format_table
from espnet_samu.train.window import count_windows, window_files, window_of
from espnet_samu.utils.atomic import atomic_write
from espnet_samu.utils.waveform import SAMPLING_RATE

_SAMPLES_PER_HOUR = SAMPLING_RATE * 3600

# ESPnet's options for making batches: with other values they would have no effect.
_NEEDED = {
    "iterator_type": "sequence",
    "batch_type": "numel",
    "multiple_iterator": False,
    "shuffle_within_batch": False,
    "drop_last_iter": False,
}


class BalancedTask(AbsTask):
    """Base of a task, or mixin for one of ESPnet's: ``--balance_languages``.

    Training batches then draw language l with P(l) ~ p_l^alpha over utterances, alpha
    being ESPnet's ``--upsampling_factor``. All else is as with ``batch_type: numel``.
    """

    @classmethod
    def get_parser(cls) -> config_argparse.ArgumentParser:
        """Add the option to those of the task."""
        parser = super().get_parser()
        group = parser.add_argument_group("Language balancing related")
        group.add_argument(
            "--balance_languages",
            type=str2bool,
            default=False,
            help="Draw training utterances so that language l has a share of "
            "p_l^alpha, p_l being its share of the utterances and alpha the "
            "--upsampling_factor (1: as in the corpus, 0: equal shares). Batches are "
            "those of batch_type 'numel', with --batch_bins, --min_batch_size and "
            "--max_batch_size. Languages are read from utt2category, or else utt2lang, "
            "beside the first training data file",
        )
        return parser

    @classmethod
    def build_iter_factory(
        cls,
        args: argparse.Namespace,
        distributed_option: DistributedOption,
        mode: str,
        kwargs: dict | None = None,
    ) -> AbsIterFactory:
        """Build ESPnet's iterators; warn if all batches have one utterance.

        Raises:
            ValueError: An option of ESPnet contradicts balance_languages.
        """
        if mode == "train" and args.balance_languages:
            for name, needed in _NEEDED.items():
                value = getattr(args, name)
                if value != needed:
                    raise ValueError(
                        f"balance_languages: true needs {name}: "
                        f"{str(needed).lower()}: {str(value).lower()}"
                    )
        factory = super().build_iter_factory(args, distributed_option, mode, kwargs)
        if mode == "train" and args.batch_type in ("numel", "length"):
            _warn_of_single_utterances(factory, args.batch_bins)
        return factory

    @classmethod
    def build_sequence_iter_factory(
        cls, args: argparse.Namespace, iter_options: IteratorOptions, mode: str
    ) -> AbsIterFactory:
        """Build ESPnet's iterators, or balanced ones for training.

        Raises:
            ValueError: An utterance is longer than Whisper's window.
        """
        balanced = mode == "train" and args.balance_languages
        window = window_of(args)
        counts = window is not None and iter_options.batch_type in ("numel", "length")
        if not balanced and not counts:
            return super().build_sequence_iter_factory(args, iter_options, mode)
        paths = iter_options.shape_files
        shapes = read_shapes(paths)
        if window is not None:
            shapes = count_windows(shapes, window, paths[0])
        if not balanced:
            with window_files(shapes, paths) as files:
                options = dataclasses.replace(iter_options, shape_files=files)
                return super().build_sequence_iter_factory(args, options, mode)
        rank, world_size = 0, 1
        if iter_options.distributed:
            rank = torch.distributed.get_rank()
            world_size = torch.distributed.get_world_size()
        data_file, data_name, _ = iter_options.data_path_and_name_and_type[0]
        category_file = find_category_file(Path(data_file).parent)
        sampler = BalancedSampler(
            shapes,
            read_languages(category_file, shapes.utterances),
            upsampling_factor=args.upsampling_factor,
            batch_bins=iter_options.batch_bins,
            min_batch_size=args.min_batch_size,
            max_batch_size=args.max_batch_size,
            sort_in_batch=args.sort_in_batch,
            seed=args.seed,
            rank=rank,
            world_size=world_size,
        )
        if rank == 0:
            # Feature frames have dims beside their length.
            in_samples = data_name == "speech" and shapes.dims[0] == 1
            languages = describe_languages(sampler, in_samples)
            logging.info(
                f"Languages of {category_file}, upsampling factor (alpha) "
                f"{args.upsampling_factor}:\n{format_languages(languages)}"
            )
            save_languages(
                Path(args.output_dir),
                languages,
                category_file=str(category_file),
                upsampling_factor=args.upsampling_factor,
            )
        # All utterances on every rank: another epoch draws others.
        dataset = cls.build_dataset(args, iter_options)
        logging.info(f"[{mode}] dataset:\n{dataset}")
        return BalancedIterFactory(
            dataset,
            sampler,
            num_iters_per_epoch=iter_options.num_iters_per_epoch,
            num_workers=args.num_workers,
            collate_fn=iter_options.collate_fn,
            pin_memory=args.ngpu > 0,
        )


def _warn_of_single_utterances(factory: AbsIterFactory, batch_bins: int) -> None:
    """Warn if batch_bins leaves one utterance in every batch."""
    if isinstance(factory, BalancedIterFactory):
        sizes = np.diff(factory.sampler.batches(1).borders)
    elif isinstance(factory, SequenceIterFactory):
        sizes = np.array([len(batch) for batch in factory.sampler.generate(0)])
    else:
        return
    if sizes.max() == 1 < len(sizes):
        logging.warning(
            f"batch_bins: {batch_bins} is so small that each of the {len(sizes)} "
            "training batches has one utterance, which is slow, and leaves nothing to "
            "compare with to a contrastive loss; raise it tenfold or more"
        )


def describe_languages(
    sampler: BalancedSampler, in_samples: bool
) -> dict[str, dict[str, Any]]:
    """Return figures of each language: hours, utterances, shares.

    Args:
        sampler: The sampler of the training.
        in_samples: Whether the first shape file counts samples at 16 kHz.

    Returns:
        For each language: ``hours`` (None if not known), ``utterances``; ``share`` in
        the corpus, ``expected_share`` (P(l)) and ``first_epoch_share`` of the draws, 0
        to 1.
    """
    languages, n_draws = sampler.languages, len(sampler.languages.codes)
    lengths = sampler.shapes.lengths[:, 0]
    samples = np.bincount(languages.codes, weights=lengths)
    columns = zip(
        languages.names,
        samples,
        languages.counts,
        sampler.probabilities,
        sampler.draws.counts(1),
        strict=True,
    )
    return {
        name: {
            "hours": float(n / _SAMPLES_PER_HOUR) if in_samples else None,
            "utterances": int(count),
            "share": float(count / n_draws),
            "expected_share": float(probability),
            "first_epoch_share": float(drawn / n_draws),
        }
        for name, n, count, probability, drawn in columns
    }


def format_languages(languages: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the markdown table of ``describe_languages``, largest language first."""
    shares = ("share", "expected_share", "first_epoch_share")
    ordered = sorted(languages.items(), key=lambda item: -item[1]["utterances"])
    rows = [
        [
            name,
            format_number(row["hours"]),
            str(row["utterances"]),
            *(format_number(100 * row[share], 2) for share in shares),
        ]
        for name, row in ordered
    ]
    header = ("language", "hours", "utterances", "%", "% expected", "% in epoch 1")
    return format_table(header, rows)


def save_languages(
    folder: Path, languages: Mapping[str, Mapping[str, Any]], **settings: Any
) -> None:
    """Write ``languages.json``, with the settings, and ``languages.md``."""
    with atomic_write(folder / "languages.json") as f:
        json.dump({**settings, "languages": languages}, f, indent=2)
        f.write("\n")
    with atomic_write(folder / "languages.md") as f:
        f.write(format_languages(languages))
