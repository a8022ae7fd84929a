"""A student as its training began."""

import os
from argparse import Namespace
from pathlib import Path

import torch
import yaml
from espnet2.torch_utils.set_all_random_seed import set_all_random_seed

from espnet_samu.tasks.samu import SAMUTask


def write_untrained(
    student: str | os.PathLike[str],
    train_config: str | os.PathLike[str],
    output: str | os.PathLike[str],
) -> None:
    """Write the weights that a student had before its first update.

    Args:
        student: Its experiment folder.
        train_config: YAML file that its training was given. The frontend is built
            from this one: the experiment's config.yaml does not ask for pre-trained
            weights any more.
        output: The checkpoint.
    """
    with open(Path(student) / "config.yaml", encoding="utf-8") as f:
        args = Namespace(**yaml.safe_load(f))
    with open(train_config, encoding="utf-8") as f:
        args.frontend_conf = yaml.safe_load(f)["frontend_conf"]
    set_all_random_seed(args.seed)
    torch.save(SAMUTask.build_model(args).state_dict(), output)
