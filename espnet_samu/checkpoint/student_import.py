"""Import of another toolkit's student as an experiment, without training.

The folder is what a distillation of ours would leave: config.yaml, which needs neither
the hub nor the folder that the student came from, and a checkpoint, for
``samu_st.sh --samu_model``, ``samu_embed``, ``samu_export`` and ``Speech2Embedding``.
"""

import argparse
import copy
import logging
from dataclasses import dataclass, field
from typing import Any

import torch

from espnet_samu.checkpoint.st_import import CONFIG, MODEL, task_defaults, write_yaml
from espnet_samu.tasks.samu import SAMUTask
from espnet_samu.utils.atomic import AtomicFolder
from espnet_samu.utils.state_dict import load_strictly


@dataclass(frozen=True)
class PublishedStudent:
    """Student of another toolkit, under the names of ours."""

    options: dict[str, Any]
    """Options of the task that build it: ``frontend_conf``, ``pooling``, ..."""
    state: dict[str, torch.Tensor]
    """Weights by our names."""
    architecture: str
    """Where the sizes come from, for messages."""
    teacher: str
    """Hub id of the text encoder that its kind is distilled from."""
    assumed: list[str] = field(default_factory=list)
    """What the checkpoint does not say, or was left out, for the log."""


def write_student(student: PublishedStudent, source: str, output: AtomicFolder) -> None:
    """Write the experiment folder of a student.

    Args:
        student: As read by ``speechbrain.read_student`` or ``fairseq.read_student``.
        source: Where it was read, for the log and config.yaml.
        output: Replaced as a whole if an earlier import made it.

    Raises:
        ValueError: Weights are missing, unknown or of another shape; names them.
    """
    config = {
        **task_defaults(SAMUTask),
        "frontend": "samu",
        "encoder": "passthrough",
        **student.options,
    }
    # A copy, since the task writes into it.
    args = argparse.Namespace(**copy.deepcopy(config))
    model = SAMUTask.build_model(args)
    what = f"{source}: the weights are not those of {student.architecture}"
    load_strictly(what, model, student.state)
    with output as folder:
        torch.save(model.state_dict(), folder / MODEL)
        config["frontend_conf"] = args.frontend_conf
        write_yaml(folder / CONFIG, f"# Imported from {source}", config)
    for line in student.assumed:
        logging.warning(f"{source}: {line}")
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    logging.info(
        f"{output.path / MODEL}: written from {source}, {millions:.1f} M parameters; "
        f"compare its embeddings with those of --teacher {student.teacher}"
    )
