"""ESPnet task of the distillation."""

import argparse
from typing import Callable, Collection, Dict, List, Optional, Tuple

import numpy as np
import torch
from espnet2.asr.encoder.abs_encoder import AbsEncoder
from espnet2.asr.frontend.abs_frontend import AbsFrontend
from espnet2.torch_utils.initialize import initialize
from espnet2.train.class_choices import ClassChoices
from espnet2.train.collate_fn import CommonCollateFn
from espnet2.train.preprocessor import CommonPreprocessor
from espnet2.train.trainer import Trainer
from espnet2.utils.nested_dict_action import NestedDictAction
from espnet2.utils.types import str2bool, str_or_none
from typeguard import typechecked

from espnet_samu.encoder.passthrough import PassthroughEncoder
from espnet_samu.frontend.samu import SamuFrontend
from espnet_samu.loss.abs_loss import AbsLoss
from espnet_samu.loss.contrastive import ContrastiveLoss
from espnet_samu.loss.cosine import CosineLoss
from espnet_samu.pooling.abs_pooling import AbsPooling
from espnet_samu.pooling.attention import AttentionPooling
from espnet_samu.projector.abs_projector import AbsProjector
from espnet_samu.projector.tanh import TanhProjector
from espnet_samu.samu_model import ESPnetSAMUModel
from espnet_samu.tasks.exact_task import ExactTask

frontend_choices = ClassChoices(
    "frontend",
    classes=dict(samu=SamuFrontend),
    type_check=AbsFrontend,
    default="samu",
)
encoder_choices = ClassChoices(
    "encoder",
    classes=dict(passthrough=PassthroughEncoder),
    type_check=AbsEncoder,
    default="passthrough",
)
pooling_choices = ClassChoices(
    "pooling",
    classes=dict(attention=AttentionPooling),
    type_check=AbsPooling,
    default="attention",
)
projector_choices = ClassChoices(
    "projector",
    classes=dict(tanh=TanhProjector),
    type_check=AbsProjector,
    default="tanh",
)
loss_choices = ClassChoices(
    "loss",
    classes=dict(cosine=CosineLoss, contrastive=ContrastiveLoss),
    type_check=AbsLoss,
    default="cosine",
)


class SAMUTask(ExactTask):
    """Speech encoder to sentence embeddings: ``speech`` and ``embed`` in."""

    num_optimizers: int = 1
    class_choices_list = [
        frontend_choices,
        encoder_choices,
        pooling_choices,
        projector_choices,
    ]
    trainer = Trainer

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Add the options of the task."""
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
        frontend = frontend_choices.get_class(args.frontend)(**args.frontend_conf)
        encoder = encoder_choices.get_class(args.encoder)(
            input_size=frontend.output_size(), **args.encoder_conf
        )
        pooling = pooling_choices.get_class(args.pooling)(
            input_size=encoder.output_size(), **args.pooling_conf
        )
        projector = projector_choices.get_class(args.projector)(
            input_size=pooling.output_size(), **args.projector_conf
        )
        losses, weights = {}, {}
        for name, conf in args.losses.items():
            conf = dict(conf or {})
            weights[name] = float(conf.pop("weight", 1.0))
            losses[name] = loss_choices.get_class(name)(**conf)
        model = ESPnetSAMUModel(frontend, encoder, pooling, projector, losses, weights)
        if args.init is not None:
            initialize(model, args.init)
        cls.make_portable(args, model)
        return model
