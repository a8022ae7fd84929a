"""Language balancing for ESPnet tasks."""

import argparse
import dataclasses
import logging
from pathlib import Path

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
from espnet_samu.samplers.language_table import (
    describe_languages,
    format_languages,
    save_languages,
)
from espnet_samu.train.window import count_windows, window_files, window_of

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
