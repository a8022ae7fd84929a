#!/usr/bin/env python3
"""Score retrieval between utterance embeddings and sentence embeddings."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from espnet2.utils.types import str_or_none

from espnet_samu.scoring.markdown import format_number, format_table
from espnet_samu.scoring.retrieval import MARGINS, score_retrieval
from espnet_samu.scoring.retrieval_score import RetrievalScore
from espnet_samu.utils.atomic import atomic_write
from espnet_samu.utils.kaldi_io import read_text, read_vectors


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description="Speech-to-text and text-to-speech retrieval among the utterances "
        "of one language: R@1, R@5, R@10, MRR, mean cosine and xsim. Writes "
        "retrieval.json and retrieval.md.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--query", required=True, help="embed.scp of the speech, one (D,) an utterance"
    )
    parser.add_argument(
        "--target",
        required=True,
        help="embed.scp of the texts, of at least the same utterances",
    )
    parser.add_argument(
        "--query_lang",
        type=str_or_none,
        default=None,
        help="utt2lang file: every language is a pool of its own",
    )
    parser.add_argument(
        "--target_text",
        type=str_or_none,
        default=None,
        help="Kaldi text file: utterances of equal text match each other. Without it, "
        "those of equal sentence embedding do",
    )
    parser.add_argument("--margin", choices=MARGINS, default="ratio", help="For xsim")
    parser.add_argument("--k", type=int, default=4, help="Neighbours for the margin")
    parser.add_argument("--output_dir", required=True, help="Output folder")
    return parser


def make_table(scores: Sequence[RetrievalScore]) -> str:
    """Return the markdown table of retrieval scores, settings below it."""
    header = "language,direction,R@1,R@5,R@10,MRR,cosine,xsim %,queries,pool".split(",")
    rows = []
    for score in scores:
        shares = (score.r1, score.r5, score.r10, score.mrr, score.cosine)
        rows.append(
            [score.lang, score.direction.replace("-", " -> ")]
            + [format_number(share, 3) for share in shares]
            + [format_number(score.xsim), str(score.queries), str(score.pool)]
        )
    langs: dict[str, dict[str, None]] = {}  # by settings
    for score in scores:
        langs.setdefault(score.settings, {})[score.lang] = None
    settings = "".join(f"- {' '.join(names)}: `{s}`\n" for s, names in langs.items())
    return f"{format_table(header, rows, text_columns=2)}\n{settings}"


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command line.

    Args:
        cmd: Arguments; those of the process by default.
    """
    args = get_parser().parse_args(cmd)
    scores = score_retrieval(
        speech=read_vectors(args.query),
        text=read_vectors(args.target),
        utt2lang=read_text(args.query_lang, False) if args.query_lang else None,
        texts=read_text(args.target_text) if args.target_text else None,
        margin=args.margin,
        k=args.k,
    )
    table = make_table(scores)
    with atomic_write(Path(args.output_dir) / "retrieval.md") as f:
        f.write(table)
    with atomic_write(Path(args.output_dir) / "retrieval.json") as f:
        json.dump({"scores": [score.to_dict() for score in scores]}, f, indent=2)
        f.write("\n")
    print(table, end="")


if __name__ == "__main__":
    main()
