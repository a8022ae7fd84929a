"""Embed the test set before and after distillation, for the study's projection.

Before: the student as its training began, from the same seed.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

from espnet_samu.bin import samu_embed
from espnet_samu.utils.command import run
from study.untrained import write_untrained


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
