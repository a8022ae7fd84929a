#!/usr/bin/env python3
"""Score retrieval among utterance embeddings and sentence embeddings."""

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path

from espnet2.utils.types import str_or_none

from espnet_samu.retrieval.pools import Pairs, pair_speech_speech, pair_speech_text
from espnet_samu.retrieval.report import (
    PROJECTIONS,
    make_retrieval_table,
    plot_heat_map,
    plot_projection,
)
from espnet_samu.retrieval.scores import (
    MARGINS,
    RetrievalResult,
    group_by_direction,
    score_retrieval,
)
from espnet_samu.utils.atomic import atomic_write
from espnet_samu.utils.command import run
from espnet_samu.utils.kaldi_io import read_failures, read_text, read_vectors

EXAMPLES = """
examples:
  each language by itself, speech <-> transcripts of the same utterances:
    --query speech/embed.scp --target transcripts/embed.scp --query_lang utt2lang
  speech of any language <-> English texts of the same utterances:
    --query speech/embed.scp --target english/embed.scp --query_lang utt2lang
    --target_lang utt2tgt_lang --target_text text.en
  speech <-> texts under other ids, say those of a whole corpus:
    --query speech/embed.scp --query_lang utt2lang --query_text text.en
    --target corpus/embed.scp --target_lang corpus/utt2lang --target_text corpus/text
  speech <-> speech of every other language with the same translation:
    --query speech/embed.scp --query_lang utt2lang --content text.en
"""


class _Formatter(
    argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter
):
    """Shows defaults and keeps the lines of the examples."""


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description="Retrieval: R@1, R@5, R@10, MRR, mean cosine and xsim, both ways,\n"
        "speech <-> text (with --target) and speech <-> speech of another language\n"
        "(with --content). Writes retrieval.json, retrieval.md, projection.png and,\n"
        "for pairs of languages, heat_map_<direction>.png.",
        epilog=EXAMPLES,
        formatter_class=_Formatter,
    )
    parser.add_argument(
        "--query",
        required=True,
        help="embed.scp of the speech, one (D,) an utterance. What failed.scp beside "
        "it names has no embedding: it is not scored, but counted",
    )
    parser.add_argument(
        "--query_lang",
        type=str_or_none,
        default=None,
        help="utt2lang file of the speech: every language is a pool of its own",
    )
    parser.add_argument(
        "--query_text",
        type=str_or_none,
        default=None,
        help="Kaldi text file of what the speech is to find among --target_text. "
        "Without it, that is the text of the same utterance",
    )
    parser.add_argument(
        "--target",
        type=str_or_none,
        default=None,
        help="embed.scp of the texts: of at least the same utterances or, with "
        "--query_text, of any",
    )
    parser.add_argument(
        "--target_lang",
        type=str_or_none,
        default=None,
        help="utt2lang file of the texts: every language of speech is scored with "
        "every language of text. Without it, each language is scored with itself, or "
        "with all texts for --query_text",
    )
    parser.add_argument(
        "--target_text",
        type=str_or_none,
        default=None,
        help="Kaldi text file: equal texts are one candidate, which their utterances "
        "match. Without it, those of equal sentence embedding are",
    )
    parser.add_argument(
        "--content",
        type=str_or_none,
        default=None,
        help="Kaldi text file of what the speech says, whatever its language (a "
        "translation or a number): scores speech <-> speech of every two languages",
    )
    parser.add_argument(
        "--margin", choices=MARGINS, default="ratio", help="Margin of xsim"
    )
    parser.add_argument(
        "--k",
        type=int,
        default=4,
        help="Neighbours for the margin, at most the size of a pool",
    )
    parser.add_argument(
        "--projection",
        choices=("none", *PROJECTIONS),
        default="pca",
        help="Projection of the embeddings to a plane; none: no figures",
    )
    parser.add_argument("--output_dir", required=True, help="Output folder")
    return parser


def check_options(args: argparse.Namespace) -> None:
    """Check that options come with those that they need.

    Args:
        args: Command line.

    Raises:
        ValueError: Naming the option that is missing.
    """
    if args.target is None and args.content is None:
        raise ValueError("need --target (speech <-> text) or --content (speech only)")
    for option, needed in (
        ("query_text", "target"),
        ("query_text", "target_text"),
        ("target_text", "target"),
        ("target_lang", "target"),
        ("content", "query_lang"),
    ):
        if getattr(args, option) is not None and getattr(args, needed) is None:
            raise ValueError(f"--{option} needs --{needed}")


def plot_result(result: RetrievalResult, output_dir: Path) -> None:
    """Draw a heat map of every direction that has pairs of two languages.

    Args:
        result: Scores.
        output_dir: Folder of the PNG files.
    """
    for direction, scores in group_by_direction(result.scores).items():
        if any(score.is_cross_lingual for score in scores):
            plot_heat_map(scores, output_dir / f"heat_map_{direction}.png")


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    check_options(args)
    speech = read_vectors(args.query)
    utt2lang = read_text(args.query_lang, False) if args.query_lang else None
    between: Pairs = []
    if args.target is not None:
        between = pair_speech_text(
            speech,
            read_vectors(args.target),
            utt2lang,
            read_text(args.target_text) if args.target_text else None,
            read_text(args.query_text) if args.query_text else None,
            read_text(args.target_lang, False) if args.target_lang else None,
        )
    among: Pairs = []
    if args.content is not None and utt2lang is not None:
        among = pair_speech_speech(speech, utt2lang, read_text(args.content, False))
        if not among:
            logging.warning(
                "--content: no retrieval among speech of one language only: "
                f"{utt2lang[next(iter(speech))]}"
            )
    result = score_retrieval([*between, *among], args.margin, args.k)
    result.failed = [*read_failures(args.query)]

    output_dir = Path(args.output_dir)
    table = make_retrieval_table(result)
    with atomic_write(output_dir / "retrieval.md") as f:
        f.write(table)
    with atomic_write(output_dir / "retrieval.json") as f:
        json.dump(result.to_dict(), f, indent=2, ensure_ascii=False)
        f.write("\n")
    if args.projection != "none":
        plot_result(result, output_dir)
        pools = {id(pool): pool for pair in between or among for pool in pair}
        if pools:
            path = output_dir / "projection.png"
            plot_projection([*pools.values()], args.projection, path)
    print(table, end="")


if __name__ == "__main__":
    run(main)
