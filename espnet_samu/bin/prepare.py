#!/usr/bin/env python3
"""Prepare a corpus: the Kaldi data directories of a recipe's stage 1."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from espnet_samu.corpora import (
    covost2,
    covost2_directions,
    europarl_st,
    europarl_st_directions,
    manifest,
)
from espnet_samu.corpora.audio_store import MODES
from espnet_samu.utils.command import run

AUDIO_HELP = (
    "convert: decode and check each recording once, write it as 16 kHz FLAC unless it "
    "is that; stat: only see that it is there"
)


def str2bool(value: str) -> bool:
    """Read true or false."""
    if value not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"'{value}' is neither true nor false")
    return value == "true"


def add_manifest(parser: argparse.ArgumentParser) -> None:
    """Add the options of a user's own corpus."""
    add = parser.add_argument
    add("--manifest", type=Path, required=True, help="TSV, see README")
    add("--output_dir", type=Path, required=True, help="data/<set>")
    add("--src_lang", default="multi", help="Suffix of transcripts")
    add("--tgt_lang", default="en", help="Suffix of translations")
    add("--src_case", default="tc", help="Case tag of transcripts")
    add("--tgt_case", default="tc", help="Case tag of translations")
    add("--langs", default="", help="Source languages allowed, e.g. 'es fr' (any)")
    add("--samu", type=str2bool, default=False, help="Transcribed speech only")
    add("--use_src_lang", type=str2bool, default=True, help="Needs transcripts")
    add("--audio", choices=MODES, default="convert", help=AUDIO_HELP)
    add("--clips_dir", type=Path, default=Path("dump/clips"), help="Of converted audio")
    add(
        "--drop_faulty",
        type=str2bool,
        default=False,
        help="Leave out utterances whose audio cannot be used, instead of stopping",
    )
    add("--nj", type=int, default=1, help="Threads for the audio")
    add("--check_only", type=str2bool, default=False, help="Write nothing")


def add_covost2(parser: argparse.ArgumentParser) -> None:
    """Add the options of CoVoST-2."""
    add = parser.add_argument
    add("--commonvoice", type=Path, help="Release 4: <lang>/...")
    add("--covost2", type=Path, help="covost_v2.<src>_<tgt>.tsv[.tar.gz]")
    add(
        "--scenario",
        choices=[*covost2_directions.SCENARIOS],
        default="x2en",
        help="Directions",
    )
    add("--langs", default="", help="Only these languages beside English: 'fr,de'")
    add("--dev_per_direction", type=int, default=300, help="In dev.<tag>; 0: all")
    add("--samu_langs", default="", help="Of the distillation; 'none': no such sets")
    add("--samu_commonvoice", type=Path, help="Release for them, if another")
    add("--samu_train_set", default="samu_train", help="Name of the set")
    add("--samu_valid_set", default="samu_dev", help="Name of the set")
    add("--samu_dev_per_lang", type=int, default=100, help="Sentences for development")
    add("--samu_max_clips", type=int, default=100000, help="Of a language; 0: all")
    add("--audio", choices=MODES, default="convert", help="What is done about clips")
    add("--clips_dir", type=Path, default=Path("dump/clips"), help="Converted clips")
    add("--nj", type=int, default=4, help="Threads for the clips")
    add("--output_dir", type=Path, default=Path("data"), help="Data directories")
    add(
        "--keep_quotes",
        type=str2bool,
        default=False,
        help="Leave the quotes of CSV writers in Common Voice's transcripts",
    )
    add("--conf_dir", type=Path, default=Path("conf"), help="Of the recipe")
    add(
        "--list_directions",
        action="store_true",
        help="Only print the directions that the scenario is tested on, one a line",
    )


def add_europarl_st(parser: argparse.ArgumentParser) -> None:
    """Add the options of Europarl-ST."""
    add = parser.add_argument
    add("--root", type=Path, required=True, help="Holds <src>/audios")
    add("--output_dir", type=Path, default=Path("data"), help="Data directories")
    add(
        "--scenario",
        choices=europarl_st_directions.SCENARIOS,
        default="x2en",
        help="Directions",
    )
    add("--tag", default="x2en", help="Names the combined sets")
    add("--src_langs", default="", help="Languages spoken; default: all")
    add("--tgt_langs", default="", help="Of the translations")
    add("--st_src_langs", default="", help="Trained on: zeroshot")
    add("--samu_langs", default="", help="Of the distillation; default: all")
    add("--samu_train_set", default="samu_train", help="Name of the set")
    add("--samu_valid_set", default="samu_dev", help="Name of the set")
    add("--with_noisy", type=str2bool, default=False, help="Train on train-noisy, too")
    add("--clips_dir", type=Path, default=Path("dump/clips"), help="Of converted audio")
    add("--nj", type=int, default=2, help="Threads for the audio")


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    corpora = parser.add_subparsers(dest="corpus", required=True, metavar="CORPUS")
    for module, add_options in (
        (manifest, add_manifest),
        (covost2, add_covost2),
        (europarl_st, add_europarl_st),
    ):
        doc = module.__doc__.splitlines()[0]
        name = module.__name__.rpartition(".")[2]
        corpus = corpora.add_parser(
            name,
            help=doc,
            description=doc,
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
        add_options(corpus)
        corpus.set_defaults(prepare=module.prepare)
    return parser


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command line.

    Args:
        cmd: Arguments; those of the process by default.
    """
    args = get_parser().parse_args(cmd)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    args.prepare(args)


if __name__ == "__main__":
    run(main)
