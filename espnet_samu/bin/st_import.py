#!/usr/bin/env python3
"""Make an experiment folder of a published or trained model, without training."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from espnet2.utils.types import str2bool, str_or_none

from espnet_samu.bin.trim_vocab import add_languages
from espnet_samu.checkpoint.st_import import import_st
from espnet_samu.checkpoint.st_rewrite import rewrite_st
from espnet_samu.utils.command import run


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        description="Make an experiment folder (config.yaml, checkpoint, tokeniser) of "
        "a published translation model of wav2vec 2.0 and mBART, e.g. "
        "facebook/wav2vec2-xls-r-300m-21-to-en, or of SeamlessM4T, e.g. "
        "facebook/seamless-m4t-v2-large, to decode with st_inference; or of a model of "
        "ours, changed, to train further: with LoRA merged, or new languages",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--from",
        dest="source",
        required=True,
        help="Hub id or folder of a SpeechEncoderDecoderModel or SeamlessM4T of "
        "transformers, or a checkpoint (FILE.pth) of an experiment",
    )
    parser.add_argument(
        "--output_dir", required=True, help="Output folder, replaced as a whole"
    )
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
        "translates into several languages, or fra for SeamlessM4T; default: the "
        "published one",
    )
    parser.add_argument(
        "--merge_lora",
        type=str2bool,
        default=False,
        help="Merge the LoRA of a checkpoint into its weights",
    )
    parser.add_argument(
        "--add_languages",
        type=add_languages,
        default="",
        help="New language tokens of a checkpoint and those they start near, e.g. "
        "ca_ES=es_XX,cy_GB=en_XX",
    )
    return parser


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = get_parser()
    args = parser.parse_args(cmd)
    logging.basicConfig(
        level="INFO",
        stream=sys.stderr,
        format="%(asctime)s (%(module)s:%(lineno)d) %(levelname)s: %(message)s",
    )
    if Path(args.source).is_file():
        if args.revision is not None or args.tgt_lang_token is not None:
            parser.error("--revision and --tgt_lang_token are for published models")
        rewrite_st(args.source, args.output_dir, args.merge_lora, args.add_languages)
        return
    if args.merge_lora or args.add_languages:
        parser.error(
            f"--merge_lora and --add_languages are for a checkpoint; {args.source} is "
            "no file"
        )
    import_st(args.source, args.output_dir, args.revision, args.tgt_lang_token)


if __name__ == "__main__":
    run(main)
