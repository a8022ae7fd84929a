"""ESPnet task of the distillation (stages 7 and 8)."""

import argparse
from collections.abc import Callable, Collection

import numpy as np
import torch
from espnet2.asr.encoder.abs_encoder import AbsEncoder
from espnet2.asr.encoder.conformer_encoder import ConformerEncoder
from espnet2.asr.encoder.e_branchformer_encoder import EBranchformerEncoder
from espnet2.asr.encoder.rnn_encoder import RNNEncoder
from espnet2.asr.encoder.transformer_encoder import TransformerEncoder
from espnet2.asr.frontend.abs_frontend import AbsFrontend
from espnet2.asr.frontend.default import DefaultFrontend
from espnet2.asr.frontend.s3prl import S3prlFrontend
from espnet2.asr.specaug.abs_specaug import AbsSpecAug
from espnet2.asr.specaug.specaug import SpecAug
from espnet2.layers.abs_normalize import AbsNormalize
from espnet2.layers.utterance_mvn import UtteranceMVN
from espnet2.torch_utils.initialize import INITIALIZATIONS
from espnet2.train.class_choices import ClassChoices
from espnet2.train.collate_fn import CommonCollateFn
from espnet2.train.preprocessor import CommonPreprocessor
from espnet2.utils.nested_dict_action import NestedDictAction
from espnet2.utils.types import str2bool, str_or_none
from typeguard import typechecked

from espnet_samu.encoder.passthrough import PassthroughEncoder
from espnet_samu.frontend.samu import SamuFrontend
from espnet_samu.loss.abs_loss import AbsLoss
from espnet_samu.loss.contrastive import ContrastiveLoss
from espnet_samu.loss.cosine import CosineLoss
from espnet_samu.loss.mse import MSELoss
from espnet_samu.pooling.abs_pooling import AbsPooling
from espnet_samu.pooling.attention import AttentionPooling
from espnet_samu.pooling.max import MaxPooling
from espnet_samu.pooling.mean import MeanPooling
from espnet_samu.projector.abs_projector import AbsProjector
from espnet_samu.projector.identity import IdentityProjector
from espnet_samu.projector.tanh import TanhProjector
from espnet_samu.samu_model import ESPnetSAMUModel
from espnet_samu.tasks.abs_samu_task import AbsSamuTask
from espnet_samu.teacher.same_teacher import check_teacher
from espnet_samu.train.samu_trainer import SAMUTrainer

frontend_choices = ClassChoices(
    "frontend",
    classes=dict(samu=SamuFrontend, default=DefaultFrontend, s3prl=S3prlFrontend),
    type_check=AbsFrontend,
    default="samu",
)
encoder_choices = ClassChoices(
    "encoder",
    classes=dict(
        passthrough=PassthroughEncoder,
        conformer=ConformerEncoder,
        e_branchformer=EBranchformerEncoder,
        rnn=RNNEncoder,
        transformer=TransformerEncoder,
    ),
    type_check=AbsEncoder,
    default="passthrough",
)
specaug_choices = ClassChoices(
    "specaug",
    classes=dict(specaug=SpecAug),
    type_check=AbsSpecAug,
    default=None,
    optional=True,
)
normalize_choices = ClassChoices(
    "normalize",
    classes=dict(utterance_mvn=UtteranceMVN),
    type_check=AbsNormalize,
    default=None,
    optional=True,
)
pooling_choices = ClassChoices(
    "pooling",
    classes=dict(attention=AttentionPooling, max=MaxPooling, mean=MeanPooling),
    type_check=AbsPooling,
    default="attention",
)
projector_choices = ClassChoices(
    "projector",
    classes=dict(identity=IdentityProjector, tanh=TanhProjector),
    type_check=AbsProjector,
    default="tanh",
)
loss_choices = ClassChoices(
    "loss",
    classes=dict(contrastive=ContrastiveLoss, cosine=CosineLoss, mse=MSELoss),
    type_check=AbsLoss,
    default="cosine",
)

CHOICES = (
    frontend_choices,
    specaug_choices,
    normalize_choices,
    encoder_choices,
    pooling_choices,
    projector_choices,
)
"""What options of the task choose from, beside the losses."""


class SAMUBuilder:
    """Builder of a student, or of its parts for a translation model.

    Args:
        args: Options of the distillation.
    """

    def __init__(self, args: argparse.Namespace):
        self.args = args

    def build(self) -> ESPnetSAMUModel:
        """Build the student."""
        args = self.args
        frontend = frontend_choices.get_class(args.frontend)(**args.frontend_conf)
        encoder = encoder_choices.get_class(args.encoder)(
            input_size=frontend.output_size(), **args.encoder_conf
        )
        pooling, projector = self.build_pooling_and_projector(encoder.output_size())
        losses, weights = self.build_losses()
        return ESPnetSAMUModel(
            frontend,
            encoder,
            pooling,
            projector,
            losses,
            weights,
            *self.build_specaug_and_normalize(),
            **args.model_conf,
        )

    def build_specaug_and_normalize(
        self,
    ) -> tuple[AbsSpecAug | None, AbsNormalize | None]:
        """Build the layers between frontend and encoder; they have no parameters."""
        args, specaug, normalize = self.args, None, None
        if args.specaug is not None:
            specaug = specaug_choices.get_class(args.specaug)(**args.specaug_conf)
        if args.normalize is not None:
            normalize = normalize_choices.get_class(args.normalize)(
                **args.normalize_conf
            )
        return specaug, normalize

    def build_pooling_and_projector(
        self, n_frame: int
    ) -> tuple[AbsPooling, AbsProjector]:
        """Build pooling and projector over the encoder's frames (B, T, n_frame)."""
        args = self.args
        pooling = pooling_choices.get_class(args.pooling)(
            input_size=n_frame, **args.pooling_conf
        )
        projector = projector_choices.get_class(args.projector)(
            input_size=pooling.output_size(), **args.projector_conf
        )
        return pooling, projector

    def build_losses(self) -> tuple[dict[str, AbsLoss], dict[str, float]]:
        """Build the losses by name; return them and their weights."""
        losses, weights = {}, {}
        for name, conf in self.args.losses.items():
            conf = dict(conf or {})
            weights[name] = float(conf.pop("weight", 1.0))
            losses[name] = loss_choices.get_class(name)(**conf)
        return losses, weights


class SAMUTask(AbsSamuTask):
    """Task that trains a speech encoder on ``speech`` and teacher's ``embed``."""

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
            choices=[*INITIALIZATIONS, None],
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
        [Collection[tuple[str, dict[str, np.ndarray]]]],
        tuple[list[str], dict[str, torch.Tensor]],
    ]:
        """Return a collate function that pads waveforms with silence."""
        return CommonCollateFn(float_pad_value=0.0, int_pad_value=-1)

    @classmethod
    @typechecked
    def build_preprocess_fn(
        cls, args: argparse.Namespace, train: bool
    ) -> Callable[[str, dict[str, np.ndarray]], dict[str, np.ndarray]] | None:
        """Return ESPnet's preprocessor of waveforms; there is no text."""
        if not args.use_preprocessor:
            return None
        return CommonPreprocessor(train=train, **args.preprocessor_conf)

    @classmethod
    def required_data_names(
        cls, train: bool = True, inference: bool = False
    ) -> tuple[str, ...]:
        """Return the required data: waveform and, for training, sentence embedding."""
        return ("speech",) if inference else ("speech", "embed")

    @classmethod
    def optional_data_names(
        cls, train: bool = True, inference: bool = False
    ) -> tuple[str, ...]:
        """Return the optional data: none."""
        return ()

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> ESPnetSAMUModel:
        """Build the model; ``args`` gets the options that rebuild it."""
        model = SAMUBuilder(args).build()
        cls.initialize(args, model)
        cls.set_up_fine_tuning(args, model)
        cls.make_portable(args, model)
        return model

    @classmethod
    def build_optimizers(  # type: ignore[override]  # the model of this task
        cls, args: argparse.Namespace, model: ESPnetSAMUModel
    ) -> list[torch.optim.Optimizer]:
        """Build the optimisers; each step counts as an update of the model.

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
            files = args.train_data_path_and_name_and_type
            files = [*files, *args.valid_data_path_and_name_and_type]
            check_teacher(files, args.output_dir, args.resume)
        optimizers = super().build_optimizers(args, model)
        for optimizer in optimizers:
            optimizer.register_step_post_hook(model.count_update)
        return optimizers
