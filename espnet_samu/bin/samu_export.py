#!/usr/bin/env python3
"""Write a distilled speech encoder to a folder that does without its experiment."""

import argparse
from collections.abc import Sequence

from espnet2.utils.types import str2bool, str_or_none

from espnet_samu.checkpoint.export import export
from espnet_samu.utils.command import log_to_stderr, run


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        description="Write a distilled speech encoder to a folder: its frames for "
        "transformers (AutoModel.from_pretrained(FOLDER); of Whisper "
        "AutoModel.from_pretrained(FOLDER).get_encoder()) and for frontend_conf: "
        "{model: FOLDER}, its utterance embeddings for "
        "Speech2Embedding.from_pretrained",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--samu_train_config",
        type=str_or_none,
        default=None,
        help="config.yaml of the distillation; default: beside the model file",
    )
    parser.add_argument("--samu_model_file", required=True, help="Checkpoint")
    parser.add_argument(
        "--output_dir", required=True, help="Output folder, replaced as a whole"
    )
    parser.add_argument(
        "--frame_encoder",
        type=str2bool,
        default=True,
        help="Write the frame encoder for transformers too. false: the utterance "
        "embeddings only, e.g. of a student with layer_mix, which transformers lacks",
    )
    return parser


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    log_to_stderr()
    export(
        args.samu_train_config,
        args.samu_model_file,
        args.output_dir,
        args.frame_encoder,
    )


if __name__ == "__main__":
    run(main)
