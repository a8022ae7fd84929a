"""Starting a translation model from a distilled student."""

import argparse
from pathlib import Path
from typing import List

import torch

from espnet_samu.utils.base_weights import read_weights


def student_specs(args: argparse.Namespace) -> List[str]:
    """What ``--init_param`` has to say for ``--init_from_samu``.

    Raises:
        FileNotFoundError: There is no student.
    """
    if args.samu_model is None or not Path(args.samu_model).is_file():
        raise FileNotFoundError(
            f"init_from_samu: there is no student at '{args.samu_model}'; run "
            "stage 8, or name one with samu_st.sh --samu_model FILE"
        )
    specs = [f"{args.samu_model}:frontend:frontend"]
    # A passthrough encoder has none.
    if _encoder_parameters(args.samu_model):
        specs.append(f"{args.samu_model}:encoder:encoder")
    return specs


def check_student_encoder(samu_model: str, model: torch.nn.Module) -> None:
    """See that nothing of the student's encoder is lost.

    Raises:
        ValueError: The model has no place for some of it.
    """
    present = model.state_dict()
    lost = [name for name in _encoder_parameters(samu_model) if name not in present]
    if lost:
        raise ValueError(
            f"init_from_samu: {len(lost)} parameters of the student's encoder have no "
            f"place in encoder: {type(model.encoder).__name__}, e.g. {lost[0]}; say "
            "encoder and encoder_conf as in the distillation"
        )


def _encoder_parameters(samu_model: str) -> List[str]:
    """Names of the parameters of a student's encoder, behind its frontend."""
    return [k for k in read_weights(samu_model) if k.startswith("encoder.")]
