"""The parts of a student."""

import argparse
from typing import Dict, Optional, Tuple

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
from espnet2.train.class_choices import ClassChoices

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
from espnet_samu.projector.tanh import TanhProjector
from espnet_samu.samu_model import ESPnetSAMUModel

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
    classes=dict(tanh=TanhProjector),
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
    """Builds a student, or the part of it that a translation model needs.

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
        pooling, projector = self.behind(encoder.output_size())
        losses, weights = self.losses()
        return ESPnetSAMUModel(
            frontend,
            encoder,
            pooling,
            projector,
            losses,
            weights,
            *self.between(),
            **args.model_conf,
        )

    def between(self) -> Tuple[Optional[AbsSpecAug], Optional[AbsNormalize]]:
        """Build what is between frontend and encoder; it has no parameters."""
        args, specaug, normalize = self.args, None, None
        if args.specaug is not None:
            specaug = specaug_choices.get_class(args.specaug)(**args.specaug_conf)
        if args.normalize is not None:
            normalize = normalize_choices.get_class(args.normalize)(
                **args.normalize_conf
            )
        return specaug, normalize

    def behind(self, n_frame: int) -> Tuple[AbsPooling, AbsProjector]:
        """Build pooling and projector behind an encoder of frames (B, T, n_frame)."""
        args = self.args
        pooling = pooling_choices.get_class(args.pooling)(
            input_size=n_frame, **args.pooling_conf
        )
        projector = projector_choices.get_class(args.projector)(
            input_size=pooling.output_size(), **args.projector_conf
        )
        return pooling, projector

    def losses(self) -> Tuple[Dict[str, AbsLoss], Dict[str, float]]:
        """Build the distances to the teacher; their weights."""
        losses, weights = {}, {}
        for name, conf in self.args.losses.items():
            conf = dict(conf or {})
            weights[name] = float(conf.pop("weight", 1.0))
            losses[name] = loss_choices.get_class(name)(**conf)
        return losses, weights
