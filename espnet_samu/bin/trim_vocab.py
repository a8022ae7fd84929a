#!/usr/bin/env python3
"""Trim a pre-trained vocabulary to the tokens that the translations need."""

import argparse
from collections.abc import Sequence

from espnet2.utils.types import str2bool, str_or_none

from espnet_samu.text.trim_report import table
from espnet_samu.text.trimming import trim
from espnet_samu.utils.command import log_to_stderr, run


def add_languages(value: str) -> dict[str, str]:
    """Read ``ca_ES=es_XX,cy_GB=en_XX``; an empty string is no language."""
    pairs = [pair.partition("=") for pair in value.split(",") if pair.strip()]
    for code, _, neighbour in pairs:
        if not code.strip() or not neighbour.strip():
            raise argparse.ArgumentTypeError(
                f"'{value}' must be NEW=NEIGHBOUR,..., e.g. ca_ES=es_XX,cy_GB=en_XX"
            )
    return {code.strip(): neighbour.strip() for code, _, neighbour in pairs}


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description="Write a pre-trained decoder with the tokens that the training "
        "targets need to a folder: all special tokens and language codes, the pieces "
        "of the targets, single characters to spell other words with, and new pieces "
        "for characters that the model would fold or not know. tokens.txt and "
        "bpe.model are ESPnet's token list and bpemodel (token_type: bpe), the folder "
        "is `model` in decoder_conf. Does nothing where trim.json matches.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--model",
        required=True,
        help="Hub id or folder of mBART-25, mBART-50, M2M-100, NLLB or SeamlessM4T, as "
        "published",
    )
    parser.add_argument(
        "--revision",
        type=str_or_none,
        default=None,
        help="Branch, tag or commit of a hub model",
    )
    parser.add_argument(
        "--text",
        action="append",
        required=True,
        help="Kaldi text file of training targets; may be repeated",
    )
    parser.add_argument(
        "--check_text",
        action="append",
        default=[],
        help="Kaldi text file of references: what the vocabulary cannot write is "
        "counted, and the score of what it writes is the ceiling; may be repeated. It "
        "does not decide what is kept",
    )
    parser.add_argument(
        "--tgt_lang",
        action="append",
        default=[],
        help="Target language; may be repeated. All letters of its scripts are kept",
    )
    parser.add_argument(
        "--add_characters",
        type=str2bool,
        default=True,
        help="Make pieces of the characters of the targets that the model cannot "
        "write: full-width marks, fractions, unknown letters",
    )
    parser.add_argument(
        "--add_languages",
        type=add_languages,
        default="",
        help="New language tokens and those they start near, e.g. "
        "ca_ES=es_XX,cy_GB=en_XX",
    )
    parser.add_argument("--nj", type=int, default=1, help="Threads of the tokeniser")
    parser.add_argument(
        "--output_dir", required=True, help="Output folder, replaced as a whole"
    )
    return parser


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    log_to_stderr()
    report = trim(
        args.model,
        args.text,
        args.output_dir,
        args.revision,
        args.check_text,
        args.add_languages,
        args.nj,
        args.tgt_lang,
        args.add_characters,
    )
    print(table(report))


if __name__ == "__main__":
    run(main)
