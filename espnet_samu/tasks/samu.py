"""ESPnet task of the distillation."""

import argparse
from typing import Callable, Collection, Dict, List, Optional, Tuple

import numpy as np
import torch
from espnet2.train.collate_fn import CommonCollateFn
from espnet2.train.preprocessor import CommonPreprocessor
from espnet2.utils.nested_dict_action import NestedDictAction
from espnet2.utils.types import str2bool, str_or_none
from typeguard import typechecked

from espnet_samu.samu_model import ESPnetSAMUModel
from espnet_samu.tasks.exact_task import ExactTask
from espnet_samu.tasks.samu_builder import CHOICES, SAMUBuilder, loss_choices
from espnet_samu.teacher.identity import check_teacher
from espnet_samu.train.samu_trainer import SAMUTrainer


class SAMUTask(ExactTask):
    """Speech encoder to sentence embeddings: ``speech`` and ``embed`` in."""

    num_optimizers: int = 1
    class_choices_list = list(CHOICES)
    trainer = SAMUTrainer
    trains_student = True

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Add the options of the task."""
        # ESPnet plots with rank 0 alone, where a loss over all ranks would wait.
        parser.set_defaults(num_att_plot=0)
        group = parser.add_argument_group("Task related")
        group.add_argument(
            "--init",
            type=lambda x: str_or_none(x.lower()),
            default=None,
            help="The initialization method",
            choices=[
                "xavier_uniform",
                "xavier_normal",
                "kaiming_uniform",
                "kaiming_normal",
                None,
            ],
        )
        group.add_argument(
            "--losses",
            action=NestedDictAction,
            default=dict(cosine=dict(weight=1.0)),
            help="Distances to the teacher that are summed, each with its weight and "
            "options: {cosine: {weight: 1.0}, contrastive: {weight: 1.0}}. "
            f"Choices: {', '.join(loss_choices.classes)}",
        )
        group.add_argument(
            "--use_preprocessor",
            type=str2bool,
            default=True,
            help="Apply preprocessing to data or not",
        )
        group.add_argument(
            "--preprocessor_conf",
            action=NestedDictAction,
            default=dict(),
            help="The keyword arguments for CommonPreprocessor, e.g. "
            "data_aug_effects, noise_scp",
        )
        group.add_argument(
            "--model_conf",
            action=NestedDictAction,
            default=dict(),
            help="The keyword arguments for the model: freeze_encoder_updates, the "
            "number of first updates that train pooling and projector only",
        )
        group.add_argument(
            "--valid_utt2lang",
            type=str_or_none,
            default=None,
            help="Language of each validation utterance: each language is a pool of "
            "its own for r1. samu_st.sh passes it",
        )
        for class_choices in cls.class_choices_list:
            class_choices.add_arguments(group)

    @classmethod
    @typechecked
    def build_collate_fn(cls, args: argparse.Namespace, train: bool) -> Callable[
        [Collection[Tuple[str, Dict[str, np.ndarray]]]],
        Tuple[List[str], Dict[str, torch.Tensor]],
    ]:
        """Pad waveforms with silence."""
        return CommonCollateFn(float_pad_value=0.0, int_pad_value=-1)

    @classmethod
    @typechecked
    def build_preprocess_fn(
        cls, args: argparse.Namespace, train: bool
    ) -> Optional[Callable[[str, Dict[str, np.array]], Dict[str, np.ndarray]]]:
        """ESPnet's preprocessing of waveforms; there is no text."""
        if not args.use_preprocessor:
            return None
        return CommonPreprocessor(train=train, **args.preprocessor_conf)

    @classmethod
    def required_data_names(
        cls, train: bool = True, inference: bool = False
    ) -> Tuple[str, ...]:
        """Waveform and, for training, the teacher's sentence embedding."""
        return ("speech",) if inference else ("speech", "embed")

    @classmethod
    def optional_data_names(
        cls, train: bool = True, inference: bool = False
    ) -> Tuple[str, ...]:
        """None."""
        return ()

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> ESPnetSAMUModel:
        """Build the model; args is made portable."""
        model = SAMUBuilder(args).build()
        cls.initialize(args, model)
        cls.make_sparing(args, model)
        cls.make_portable(args, model)
        return model

    @classmethod
    def build_optimizers(
        cls, args: argparse.Namespace, model: ESPnetSAMUModel
    ) -> List[torch.optim.Optimizer]:
        """As the base's; the model counts its updates.

        Raises:
            ValueError: The embeddings are not of one teacher, or not of these texts, or
                several GPUs are to be used in one process.
        """
        if not args.collect_stats and not args.dry_run:
            if args.ngpu > 1 and not args.distributed:
                # DataParallel gives each GPU a part of the batch, but all names.
                raise ValueError(
                    f"distillation on {args.ngpu} GPUs needs "
                    "--multiprocessing_distributed true"
                )
            check_teacher(args)
        optimizers = super().build_optimizers(args, model)
        for optimizer in optimizers:
            optimizer.register_step_post_hook(model.count_update)
        return optimizers
