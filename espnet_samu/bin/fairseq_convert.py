#!/usr/bin/env python3
"""Make a folder that transformers and ``frontend: samu`` read of a fairseq encoder."""

import argparse
from collections.abc import Sequence

from espnet_samu.checkpoint.fairseq import convert
from espnet_samu.utils.command import log_to_stderr, run


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        description="Convert a wav2vec 2.0, XLS-R or HuBERT checkpoint of fairseq, or "
        "one that s3prl made of it, to a folder of transformers: frontend_conf: "
        "{model: OUTPUT_DIR}. fairseq is not needed, and nothing in the file is run",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--checkpoint", required=True, help="Checkpoint (.pt)")
    parser.add_argument(
        "--output_dir", required=True, help="Output folder, replaced as a whole"
    )
    return parser


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    log_to_stderr()
    convert(args.checkpoint, args.output_dir)


if __name__ == "__main__":
    run(main)
