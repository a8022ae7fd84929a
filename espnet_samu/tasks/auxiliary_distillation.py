"""Distillation as an auxiliary loss of translation training: head, data, options."""

import argparse
from pathlib import Path
from typing import Any

import torch
from espnet2.iterators.abs_iter_factory import AbsIterFactory
from espnet2.tasks.abs_task import AbsTask
from espnet2.train.distributed_utils import DistributedOption
from espnet2.utils import config_argparse
from espnet2.utils.types import int_or_none, str2triple_str

from espnet_samu.loss.distillation import DistillationLoss
from espnet_samu.samplers.iter_factory import PairedIterFactory
from espnet_samu.st_model import DistillationHead
from espnet_samu.tasks.samu import SAMUBuilder, SAMUTask
from espnet_samu.teacher.same_teacher import (
    check_embeddings_of_student,
    check_teacher,
)
from espnet_samu.utils.base_weights import read_weights
from espnet_samu.utils.kaldi_io import check_data_files
from espnet_samu.utils.safe_reading import read_yaml
from espnet_samu.utils.state_dict import load_strictly

_DATA = "--samu_data_path_and_name_and_type"
_SHAPE = "--samu_shape_file"
_HEAD = ("pooling.", "projector.", "loss.")


class AuxiliaryDistillation:
    """Head and data of the distillation, as in the student's config.yaml.

    Pooling, projector, losses, data and batches are those that the student was
    distilled with, so that no option is given twice; data and batch size can differ.

    Args:
        args: Options of the training of the translation model.

    Raises:
        FileNotFoundError: There is no student, no config.yaml beside it, or not the
            data that it names.
        ValueError: The data lack waveforms, embeddings or shapes.
    """

    def __init__(self, args: argparse.Namespace):
        self.weight = args.samu_weight
        self.student = _student(args.samu_model)
        config = self.student.parent / "config.yaml"
        if not config.is_file():
            raise FileNotFoundError(
                f"samu_weight: {config} is missing, which says how the student was "
                "distilled: keep it beside --samu_model"
            )
        self.args = _defaults()
        vars(self.args).update(read_yaml(config))
        # Options of this training, not of the student's.
        for name in ("seed", "ngpu", "num_workers", "num_iters_per_epoch"):
            setattr(self.args, name, getattr(args, name))
        self.args.train_dtype = args.train_dtype
        self.args.output_dir = str(Path(args.output_dir) / "samu")
        if args.samu_batch_bins is not None:
            self.args.batch_bins = args.samu_batch_bins
        data, shapes = args.samu_data_path_and_name_and_type, args.samu_shape_file
        if data and not shapes:
            raise ValueError(
                f"{_DATA} needs {_SHAPE}, too, with the samples of each utterance"
            )
        self.args.train_data_path_and_name_and_type = [
            tuple(x) for x in data or self.args.train_data_path_and_name_and_type
        ]
        self.args.train_shape_file = shapes or self.args.train_shape_file
        _check_data(self.args, config)

    @property
    def data(self) -> list[tuple[str, str, str]]:
        """File, name and type of each data file."""
        return self.args.train_data_path_and_name_and_type

    def check_teacher(self, args: argparse.Namespace) -> None:
        """Check that student, embeddings and a resumed training have one teacher.

        Raises:
            ValueError: The embeddings belong to another text or another teacher.
        """
        for path, name, _ in self.data:
            if name == "embed":
                check_embeddings_of_student(path, self.student, _DATA)
        check_teacher(self.data, args.output_dir, args.resume)

    def head(self, model: torch.nn.Module) -> DistillationHead:
        """Build pooling, projector and loss, and load the student's weights.

        Args:
            model: The translation model.

        Raises:
            ValueError: The model has no such encoder, trains none of it, or makes
                frames of another size than the student.
        """
        if model.frontend is None or model.preencoder is not None:
            raise ValueError(
                "samu_weight is for the encoder of a student: a frontend without "
                "preencoder, named as in the distillation"
            )
        parts = (model.frontend, model.encoder)
        if not any(p.requires_grad for part in parts for p in part.parameters()):
            raise ValueError(
                f"samu_weight: {self.weight} keeps the encoder near the teacher, but "
                "nothing of frontend and encoder is trained: leave freeze: true out "
                "of frontend_conf (and let trainable, adapters, freeze_param train "
                "some of it), or set samu_weight: 0"
            )
        builder = SAMUBuilder(self.args)
        head = DistillationHead(
            *builder.build_pooling_and_projector(model.encoder.output_size()),
            DistillationLoss(*builder.build_losses()),
            self.weight,
            *builder.build_specaug_and_normalize(),
        )
        self._fill(head)
        return head

    def _fill(self, head: DistillationHead) -> None:
        state = read_weights(self.student)
        state = {k: v for k, v in state.items() if k.startswith(_HEAD)}
        what = (
            f"samu_weight: the student {self.student} does not fit this model's "
            "encoder; set frontend_conf and encoder_conf as in the distillation"
        )
        load_strictly(what, head, state)

    def iter_factory(self, distributed_option: DistributedOption) -> AbsIterFactory:
        """Build the iterators of the distillation's batches."""
        return SAMUTask.build_iter_factory(self.args, distributed_option, "train")


def _student(samu_model: str | None) -> Path:
    if samu_model is None or not Path(samu_model).is_file():
        raise FileNotFoundError(
            f"samu_weight: there is no student at '{samu_model}'; run stage 8, or "
            "name one with samu_st.sh --samu_model FILE"
        )
    return Path(samu_model)


def _defaults() -> argparse.Namespace:
    """Return default options, for a config.yaml of an earlier version."""
    parser = SAMUTask.get_parser()
    return parser.parse_args(["--output_dir", "none"])


def _check_data(args: argparse.Namespace, config: Path) -> None:
    """Check that data files are given, exist, and name no commands."""
    named: dict[str, Any] = {
        name: path for path, name, _ in args.train_data_path_and_name_and_type
    }
    mend = (
        f"name them by {_DATA} (FILE,speech,sound and FILE,embed,kaldi_ark) and "
        f"{_SHAPE}"
    )
    if not {"speech", "embed"} <= set(named) or not args.train_shape_file:
        raise ValueError(
            "samu_weight needs transcribed speech with the teacher's embeddings "
            f"(speech, embed), but {config} and the options name "
            f"{', '.join(named) or 'no data'}, with {len(args.train_shape_file)} "
            f"shape files; {mend}"
        )
    files = (*named.values(), *args.train_shape_file)
    missing = [path for path in files if not Path(path).exists()]
    if missing:
        raise FileNotFoundError(
            f"samu_weight: {', '.join(missing)} is missing: the student's {config} "
            f"names it, as seen from the folder it was distilled in. Run stages 6 and "
            f"7, or {mend}"
        )
    check_data_files(args.train_data_path_and_name_and_type)


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
