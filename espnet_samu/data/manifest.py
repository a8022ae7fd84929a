"""Make a Kaldi data directory of a manifest: data preparation for own corpora."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Sequence

from espnet_samu.data.data_dir import write_data_dir
from espnet_samu.data.manifest_options import ManifestOptions
from espnet_samu.data.manifest_reader import ManifestReader
from espnet_samu.utils.command import run


def str2bool(value: str) -> bool:
    """Read true or false."""
    if value not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"'{value}' is neither true nor false")
    return value == "true"


def get_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="TSV, see README")
    parser.add_argument("--output_dir", type=Path, required=True, help="data/<set>")
    parser.add_argument("--src_lang", default="multi", help="Suffix of transcripts")
    parser.add_argument("--tgt_lang", default="en", help="Suffix of translations")
    parser.add_argument("--src_case", default="tc", help="Case tag of transcripts")
    parser.add_argument("--tgt_case", default="tc", help="Case tag of translations")
    parser.add_argument(
        "--langs", default="", help="Source languages allowed, e.g. 'es fr' (any)"
    )
    parser.add_argument(
        "--samu", type=str2bool, default=False, help="Transcribed speech only"
    )
    parser.add_argument(
        "--use_src_lang", type=str2bool, default=True, help="Needs transcripts"
    )
    parser.add_argument(
        "--check_only", type=str2bool, default=False, help="Write nothing"
    )
    return parser


def main(cmd: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    args = get_parser().parse_args(cmd)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    options = ManifestOptions(
        args.src_lang,
        args.tgt_lang,
        args.src_case,
        args.tgt_case,
        tuple(args.langs.replace(",", " ").split()),
        args.samu,
        args.use_src_lang,
    )
    data = ManifestReader(args.manifest, options).read()
    if not args.check_only:
        write_data_dir(data, args.output_dir, [args.manifest])
        langs = set(data.files["utt2lang"].values())
        logging.info(
            "%s: %d utterances, languages %s",
            args.output_dir,
            len(data.lines),
            " ".join(sorted(langs)),
        )


if __name__ == "__main__":
    run(main)
