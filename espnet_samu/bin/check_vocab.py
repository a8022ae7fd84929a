#!/usr/bin/env python3
"""Count what a vocabulary cannot write, and score what it can."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from espnet2.utils.types import str_or_none

from espnet_samu.text.coverage import can_be_added, find_losses
from espnet_samu.text.trim_report import check_text, describe, espnet_round_trip
from espnet_samu.text.vocabulary import read_token_list
from espnet_samu.utils.atomic import atomic_write
from espnet_samu.utils.command import run

REPORT_FILE = "check.json"
# How to write more characters, by token type; {} stands for them.
MENDS = {
    "bpe": "--tgt_bpe_nlsyms '{}' and stage 5 again",
    "hugging_face": "--trim_vocab true makes pieces of {}",
}


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description="Count what decode(encode(text)) of one of ESPnet's vocabularies "
        "changes in training and test targets, and name the characters. The score of "
        "the rest is the ceiling of a perfect system: BLEU and exact match by target "
        f"language. Prints both and writes {REPORT_FILE} beside the token list. "
        "trim_vocab does the same for the vocabulary that it makes.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--token_type",
        required=True,
        choices=("bpe", "char", "word", "hugging_face"),
        help="ESPnet's token type",
    )
    parser.add_argument(
        "--bpemodel",
        type=str_or_none,
        default=None,
        help="sentencepiece model of bpe, hub id or folder of hugging_face",
    )
    parser.add_argument("--token_list", required=True, help="tokens.txt")
    parser.add_argument(
        "--text",
        action="append",
        required=True,
        help="Kaldi text file of training targets, only counted; may be repeated",
    )
    parser.add_argument(
        "--check_text",
        action="append",
        default=[],
        help="Kaldi text file to score, too; may be repeated. utt2tgt_lang beside it "
        "has the target languages",
    )
    parser.add_argument(
        "--tgt_lang", default="en", help="Target language, without utt2tgt_lang"
    )
    return parser


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    tokens = read_token_list(args.token_list)
    write = espnet_round_trip(args.token_type, args.bpemodel, tokens)
    found = {text: find_losses(write, [text]) for text in args.text}
    report = [{"file": text, **losses.report()} for text, losses in found.items()]
    report += [check_text(write, text, args.tgt_lang) for text in args.check_text]
    with atomic_write(Path(args.token_list).parent / REPORT_FILE) as f:
        json.dump(report, f, indent=2, ensure_ascii=False)
        f.write("\n")
    for entry in report:
        for line in describe(entry):
            print(line)
    characters = {c for losses in found.values() for c in losses.characters}
    mended = [c for c in sorted(characters) if can_be_added(write, c)]
    if mended and args.token_type in MENDS:
        print(f"To write them: {MENDS[args.token_type].format(','.join(mended))}")


if __name__ == "__main__":
    run(main)
