"""Embed the test set before and after distillation, for the study's projection.

Before: the student as its training began, from the same seed.
"""

import argparse
import logging
import os
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import torch
import yaml
from espnet2.torch_utils.set_all_random_seed import set_all_random_seed

from espnet_samu.bin import samu_embed
from espnet_samu.tasks.samu import SAMUTask
from espnet_samu.utils.command import run


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


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command line, in the folder of the recipe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--student", type=Path, required=True, help="Its experiment")
    parser.add_argument("--train_config", type=Path, required=True)
    parser.add_argument("--model", default="valid.cos_right.best.pth")
    parser.add_argument("--wav_scp", type=Path, default=Path("dump/raw/test/wav.scp"))
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(cmd)
    config = args.student / "config.yaml"
    with tempfile.TemporaryDirectory() as folder:
        untrained = Path(folder) / "untrained.pth"
        write_untrained(args.student, args.train_config, untrained)
        models = {"before": untrained, "after": args.student / args.model}
        for name, model in models.items():
            samu_embed.main(
                [
                    *("--samu_train_config", str(config)),
                    *("--samu_model_file", str(model)),
                    *("--wav_scp", f"{args.wav_scp},sound"),
                    *("--output_dir", str(args.out / name)),
                ]
            )
    logging.info(f"embeddings of {args.student} are in {args.out}")


if __name__ == "__main__":
    run(main)
