#!/usr/bin/env python3
"""Prepare a corpus: read and check it, and write Kaldi data directories.

Recipes call it in stage 1. Recordings are decoded once and written as 16 kHz FLAC; what
is kept, changed and left out is in counts.md, counts.json and faults.tsv of
<output_dir>/local/<name>, for a manifest data/local/<set>.
"""

import argparse
import gc
import logging
from collections.abc import Sequence
from pathlib import Path

from espnet_samu.corpora import (
    covost2,
    covost2_directions,
    covost2_parquet,
    europarl_st,
    europarl_st_directions,
    fleurs,
    fleurs_reader,
    held_out,
    manifest,
)
from espnet_samu.corpora.audio_store import MODES
from espnet_samu.utils.command import run


class HelpFormatter(
    argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter
):
    """Lines of a description as they are, and defaults."""


def str2bool(value: str) -> bool:
    """Read true or false."""
    if value not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"'{value}' is neither true nor false")
    return value == "true"


def count(value: str) -> int:
    """Read a number that is not negative."""
    if not value.isdecimal():
        raise argparse.ArgumentTypeError(f"'{value}' is not a number from 0 on")
    return int(value)


def threads(value: str) -> int:
    """Read a number of threads."""
    return max(1, count(value))


def words(value: str) -> list[str]:
    """Read a list, separated by commas or blanks."""
    return value.replace(",", " ").split()


def add_languages(parser: argparse.ArgumentParser, option: str, text: str) -> None:
    """Add an option that is a list of languages."""
    parser.add_argument(option, type=words, default="", help=text)


def audio_options() -> argparse.ArgumentParser:
    """Return the parent parser of corpora whose audio may be left as it is."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "--audio",
        choices=MODES,
        default="convert",
        help="convert: decode and check each recording once, and write it as 16 kHz "
        "FLAC unless it is that; stat: only check that the file is there and not empty",
    )
    return parser


def clip_options(nj: int) -> argparse.ArgumentParser:
    """Return the parent parser of all corpora.

    Args:
        nj: Default number of threads.
    """
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "--clips_dir",
        type=Path,
        default=Path("dump/clips"),
        help="Folder of the converted recordings",
    )
    parser.add_argument(
        "--nj", type=threads, default=nj, help="Threads that decode recordings"
    )
    return parser


def set_options() -> argparse.ArgumentParser:
    """Return the parent parser of corpora that are made into several sets."""
    parser = argparse.ArgumentParser(add_help=False)
    add = parser.add_argument
    add(
        "--output_dir",
        type=Path,
        default=Path("data"),
        help="Folder of the data directories",
    )
    add("--samu_train_set", default="samu_train", help="Name of the distillation set")
    add("--samu_valid_set", default="samu_dev", help="Name of its development set")
    return parser


def add_manifest(parser: argparse.ArgumentParser) -> None:
    """Add the options of a user's own corpus."""
    add = parser.add_argument
    add(
        "--manifest",
        type=Path,
        required=True,
        help="Tab-separated file with a header line: id audio language transcript "
        "translation target_language [speaker start end]; or parquet files with the "
        "recordings inside, <folder>:<split>, or <hub id>[/<folder>]:<split>",
    )
    add(
        "--columns",
        default="",
        help="Of parquet files: what they call a column of a manifest, or what is the "
        "same in all rows, such as transcript=sentence,speaker=client_id,language:fr",
    )
    add("--output_dir", type=Path, required=True, help="Data directory: data/<set>")
    add("--src_lang", default="multi", help="Suffix of the transcripts' file")
    add("--tgt_lang", default="en", help="Suffix of the translations' file")
    add("--src_case", default="tc", help="Case tag of the transcripts' file")
    add("--tgt_case", default="tc", help="Case tag of the translations' file")
    add_languages(parser, "--langs", "Source languages allowed, 'es fr'; empty: any")
    add(
        "--samu",
        type=str2bool,
        default=False,
        help="Transcribed speech for the distillation: translations are not needed",
    )
    add(
        "--use_src_lang",
        type=str2bool,
        default=True,
        help="false: transcripts are neither needed nor written",
    )
    add(
        "--drop_faulty",
        type=str2bool,
        default=False,
        help="Leave out utterances whose audio cannot be used, instead of stopping",
    )
    add(
        "--check_only",
        type=str2bool,
        default=False,
        help="Check everything, convert the audio, and write no data directory",
    )


def add_covost2(parser: argparse.ArgumentParser) -> None:
    """Add the options of CoVoST-2."""
    add = parser.add_argument
    add(
        "--commonvoice",
        type=Path,
        help="Folder of Common Voice release 4: <lang>/{validated.tsv,clips}",
    )
    add(
        "--covost2",
        type=Path,
        help="Folder of the translations: covost_v2.<src>_<tgt>.tsv[.tar.gz]",
    )
    add(
        "--covost2_parquet",
        help="Instead of both: folder of the dataset in parquet files, "
        "<src>_<tgt>/{train,validation,test}-*.parquet, or its hub id, "
        f"{covost2_parquet.DATASET}",
    )
    add(
        "--scenario",
        choices=[*covost2_directions.SCENARIOS],
        default="x2en",
        help="Directions that are trained on and tested",
    )
    add_languages(parser, "--langs", "Languages beside English, 'fr,de'; empty: all")
    add(
        "--dev_per_direction",
        type=count,
        default=300,
        help="Utterances of a direction in the development set of all of them; 0: all",
    )
    add_languages(
        parser,
        "--samu_langs",
        "Languages of the distillation, 'fr,de,cs'; empty: those of "
        "<conf_dir>/samu_langs.tsv that are there; none: no such sets",
    )
    add(
        "--samu_commonvoice",
        type=Path,
        help="Release that the distillation takes its clips from, if another one; or "
        "transcribed speech in parquet files, <lang>/*.parquet with audio and sentence",
    )
    add(
        "--samu_dev_per_lang",
        type=count,
        default=100,
        help="Sentences of a language in the distillation's development set",
    )
    add(
        "--samu_max_clips",
        type=count,
        default=100000,
        help="Most clips of a language in the distillation set; 0: all",
    )
    add(
        "--keep_quotes",
        type=str2bool,
        default=False,
        help="Leave the quotes of CSV writers in Common Voice's transcripts",
    )
    add(
        "--conf_dir",
        type=Path,
        default=Path("conf"),
        help="Folder with the recipe's lists of languages and of published counts",
    )
    add(
        "--list_directions",
        action="store_true",
        help="Only print the directions that the scenario is tested on, one a line",
    )


def add_europarl_st(parser: argparse.ArgumentParser) -> None:
    """Add the options of Europarl-ST."""
    add = parser.add_argument
    add(
        "--root",
        type=Path,
        required=True,
        help="Folder v1.1 of the corpus, with <src>/audios and <src>/<tgt>/<split>",
    )
    add(
        "--scenario",
        choices=europarl_st_directions.SCENARIOS,
        default="x2en",
        help="x2en: all languages to English; m2m: all to all; zeroshot: tested as "
        "x2en, trained on --st_src_langs",
    )
    add("--tag", default="x2en", help="Name of the combined sets: train.<tag>")
    add_languages(parser, "--src_langs", "Languages spoken, 'de,fr'; empty: all")
    add_languages(
        parser, "--tgt_langs", "Languages of the translations; empty: en, for m2m all"
    )
    add_languages(parser, "--st_src_langs", "Languages that zeroshot is trained on")
    add_languages(parser, "--samu_langs", "Languages of the distillation; empty: all")
    add(
        "--with_noisy",
        type=str2bool,
        default=False,
        help="Train on the split train-noisy, too",
    )


def add_fleurs(parser: argparse.ArgumentParser) -> None:
    """Add the options of FLEURS."""
    add = parser.add_argument
    add(
        "--fleurs",
        required=True,
        help="Folder of the dataset, with <lang_region>/{train,validation,test}-*"
        ".parquet, or <lang_region>/{train,dev,test}.tsv and audio; or its hub id, "
        f"{fleurs_reader.DATASET}",
    )
    add_languages(parser, "--langs", "Languages beside English, 'fr,zh-CN'; empty: all")
    add("--tag", default="x2en", help="Name of the sets: test.<tag>, nway.<tag>")
    add(
        "--test_only",
        type=str2bool,
        default=False,
        help="Only test.<tag> and nway.<tag>, of the test split",
    )


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    corpora = parser.add_subparsers(
        dest="corpus", required=True, metavar="CORPUS", title="corpora"
    )
    for module, add_options, *parents in (
        (manifest, add_manifest, audio_options(), clip_options(nj=1)),
        (covost2, add_covost2, set_options(), audio_options(), clip_options(nj=4)),
        (europarl_st, add_europarl_st, set_options(), clip_options(nj=2)),
        (fleurs, add_fleurs, set_options(), audio_options(), clip_options(nj=4)),
    ):
        doc = (module.__doc__ or "").replace("``", "")
        name = module.__name__.rpartition(".")[2]
        # A parent, too: the corpus' own options come before the shared ones.
        own = argparse.ArgumentParser(add_help=False)
        add_options(own)
        corpus = corpora.add_parser(
            name,
            help=doc.partition("\n")[0],
            description=doc,
            parents=[own, *parents],
            formatter_class=HelpFormatter,
        )
        corpus.set_defaults(prepare=module.prepare)
    overlaps = corpora.add_parser(
        "overlaps", help="count what of test sets is in training sets, too"
    )
    add = overlaps.add_argument
    add("--data_dir", type=Path, default=Path("data"), help="Folder of the sets")
    add("--training", nargs="+", required=True, help="Names of training sets")
    add("--others", nargs="+", required=True, help="Names of the others")
    add("--text", default="text.tc.multi", help="File of the transcripts in a set")
    overlaps.set_defaults(prepare=held_out.note_overlaps)
    return parser


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    # Hundreds of thousands of records, which no cycle of references holds: to look for
    # cycles among them again and again takes a fifth of the time.
    threshold = gc.get_threshold()
    gc.set_threshold(100_000)
    try:
        args.prepare(args)
    finally:
        gc.set_threshold(*threshold)


if __name__ == "__main__":
    run(main)
