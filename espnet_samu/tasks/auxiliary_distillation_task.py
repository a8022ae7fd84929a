"""Distillation as an auxiliary loss of translation training."""

import argparse

import torch
from espnet2.iterators.abs_iter_factory import AbsIterFactory
from espnet2.tasks.abs_task import AbsTask
from espnet2.train.distributed_utils import DistributedOption
from espnet2.utils import config_argparse
from espnet2.utils.types import int_or_none, str2triple_str

from espnet_samu.samplers.iter_factory import PairedIterFactory
from espnet_samu.tasks.auxiliary_distillation import AuxiliaryDistillation


class AuxiliaryDistillationTask(AbsTask):
    """Mixin for a translation task: ``--samu_weight``.

    Each training batch gets a batch of transcribed speech beside it, whose tensors are
    named ``samu_*``; the model adds the loss of the distillation to its own. The head
    that this needs is of the training: models that are read from files have none.
    """

    @classmethod
    def get_parser(cls) -> config_argparse.ArgumentParser:
        """Add the options to those of the task."""
        parser = super().get_parser()
        group = parser.add_argument_group("Auxiliary distillation related")
        group.add_argument(
            "--samu_weight",
            type=float,
            default=0.0,
            help="Weight of an auxiliary distillation loss, over a batch of "
            "transcribed speech of its own beside every training batch. Pooling and "
            "projector start from those of --samu_model, whose config.yaml has losses, "
            "data and batches. 0: none",
        )
        group.add_argument(
            "--samu_batch_bins",
            type=int_or_none,
            default=None,
            help="Size of a batch of the auxiliary distillation (all GPUs), counted as "
            "its batch_type says. Default: that of the student's config.yaml",
        )
        group.add_argument(
            "--samu_data_path_and_name_and_type",
            type=str2triple_str,
            action="append",
            default=[],
            help="Data of the auxiliary distillation, e.g. "
            "dump/raw/samu_train/wav.scp,speech,sound and "
            "exp/teacher_small/samu_train/embed.scp,embed,kaldi_ark. Default: those "
            "of the student's config.yaml",
        )
        group.add_argument(
            "--samu_shape_file",
            type=str,
            action="append",
            default=[],
            help="Samples of each of its utterances; those of no other are used. "
            "Default: that of the student's config.yaml",
        )
        return parser

    @classmethod
    def build_optimizers(
        cls, args: argparse.Namespace, model: torch.nn.Module
    ) -> list[torch.optim.Optimizer]:
        """Add the distillation head to the model, and build its optimisers.

        Raises:
            FileNotFoundError: Student or data are missing.
            ValueError: An option is wrong, nothing of the encoder is trained, or
                student, model, teacher and data do not belong together.
        """
        if args.samu_weight < 0:
            raise ValueError(f"samu_weight must be 0 or more: {args.samu_weight}")
        if args.samu_weight > 0 and not args.collect_stats and not args.dry_run:
            if args.ngpu > 1 and not args.distributed:
                # DataParallel would split the two batches each in its own way.
                raise ValueError(
                    f"samu_weight on {args.ngpu} GPUs needs "
                    "--multiprocessing_distributed true"
                )
            auxiliary = AuxiliaryDistillation(args)
            auxiliary.check_teacher(args)
            parameter = next(model.parameters())
            head = auxiliary.head(model).to(parameter.device, parameter.dtype)
            model.distillation = head
            # For config.yaml.
            args.samu_data_path_and_name_and_type = auxiliary.data
            args.samu_shape_file = auxiliary.args.train_shape_file
        return super().build_optimizers(args, model)

    @classmethod
    def build_iter_factory(
        cls,
        args: argparse.Namespace,
        distributed_option: DistributedOption,
        mode: str,
        kwargs: dict | None = None,
    ) -> AbsIterFactory:
        """Build the task's iterators; in training paired with distillation batches."""
        factory = super().build_iter_factory(args, distributed_option, mode, kwargs)
        if mode != "train" or args.multiple_iterator:
            return factory
        return cls._paired(args, distributed_option, factory)

    @classmethod
    def build_multiple_iter_factory(
        cls, args: argparse.Namespace, distributed_option: DistributedOption, mode: str
    ) -> AbsIterFactory:
        """Build iterators over several parts, paired with distillation batches."""
        factory = super().build_multiple_iter_factory(args, distributed_option, mode)
        return cls._paired(args, distributed_option, factory)

    @classmethod
    def _paired(
        cls,
        args: argparse.Namespace,
        distributed_option: DistributedOption,
        factory: AbsIterFactory,
    ) -> AbsIterFactory:
        if args.samu_weight == 0:
            return factory
        beside = AuxiliaryDistillation(args).iter_factory(distributed_option)
        return PairedIterFactory(factory, beside, "samu_")
