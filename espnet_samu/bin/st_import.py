#!/usr/bin/env python3
"""Make an experiment folder of a published translation model, without training."""

import argparse
import logging
import sys

from espnet2.utils.types import str_or_none

from espnet_samu.checkpoint.st_import import import_st
from espnet_samu.utils.command import run


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        description="Make an experiment folder (config.yaml, checkpoint, tokeniser) of "
        "a published translation model of wav2vec 2.0 and mBART, e.g. "
        "facebook/wav2vec2-xls-r-300m-21-to-en, to decode with st_inference",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--from",
        dest="source",
        required=True,
        help="Hub id or folder of a SpeechEncoderDecoderModel of transformers",
    )
    parser.add_argument("--output_dir", required=True, help="Replaced as a whole")
    parser.add_argument(
        "--revision",
        type=str_or_none,
        default=None,
        help="Branch, tag or commit on the hub",
    )
    parser.add_argument(
        "--tgt_lang_token",
        type=str_or_none,
        default=None,
        help="Token that begins every translation, e.g. de_DE for a model that "
        "translates into several languages; default: the published one",
    )
    return parser


def main(cmd: list[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    logging.basicConfig(
        level="INFO",
        stream=sys.stderr,
        format="%(asctime)s (%(module)s:%(lineno)d) %(levelname)s: %(message)s",
    )
    import_st(args.source, args.output_dir, args.revision, args.tgt_lang_token)


if __name__ == "__main__":
    run(main)
