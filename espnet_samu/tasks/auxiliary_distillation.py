"""Head, weights and data of the auxiliary distillation in translation training."""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from espnet2.iterators.abs_iter_factory import AbsIterFactory
from espnet2.train.distributed_utils import DistributedOption

from espnet_samu.loss.distillation import DistillationLoss
from espnet_samu.tasks.samu import SAMUBuilder, SAMUTask
from espnet_samu.teacher import cache
from espnet_samu.teacher.identity import TEACHER_FILE, check_teacher
from espnet_samu.train.distillation_head import DistillationHead
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
                self._check_embeddings(path)
        check_teacher(
            argparse.Namespace(
                train_data_path_and_name_and_type=self.data,
                valid_data_path_and_name_and_type=[],
                output_dir=args.output_dir,
                resume=args.resume,
                dist_rank=args.dist_rank,
            )
        )

    def _check_embeddings(self, path: str) -> None:
        saved = self.student.parent / TEACHER_FILE
        table = cache.read_cache(Path(path).parent)
        if not saved.exists() or not table:
            return
        known = json.loads(saved.read_text(encoding="utf-8"))
        differing = cache.differing_entries(table, known)
        if differing:
            values = ", ".join(
                f"{key} {table.get(key)} and {known.get(key)}" for key in differing
            )
            raise ValueError(
                f"samu_weight: {path} is of another teacher than the student "
                f"{self.student}: {values}; distil again (stages 6-8), or name the "
                f"embeddings of the student's teacher by {_DATA}"
            )

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
    missing = [p for p in (*named.values(), *args.train_shape_file) if not _there(p)]
    if missing:
        raise FileNotFoundError(
            f"samu_weight: {', '.join(missing)} is missing: the student's {config} "
            f"names it, as seen from the folder it was distilled in. Run stages 6 and "
            f"7, or {mend}"
        )
    check_data_files(args.train_data_path_and_name_and_type)


def _there(path: str) -> bool:
    return Path(path).exists()
