#!/usr/bin/env python3
"""Compute the teacher's sentence embeddings once, before the distillation."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from espnet2.utils.types import str2bool, str_or_none

from espnet_samu.teacher import cache
from espnet_samu.teacher.abs_sentence_encoder import AbsSentenceEncoder
from espnet_samu.teacher.encoder_ensemble import COMBINE, EncoderEnsemble
from espnet_samu.teacher.sentence_encoder import (
    DEFAULT_TEACHER,
    DTYPES,
    SentenceEncoder,
)
from espnet_samu.teacher.text_embedder import TextEmbedder
from espnet_samu.utils.command import run
from espnet_samu.utils.kaldi_io import read_text


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description="Embed the sentences of Kaldi text files with "
        "sentence-transformers models: embed.ark, embed.scp (one vector an utterance) "
        "and embed.json. Does nothing where embed.json already matches; goes on where "
        "a killed run was.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--teacher",
        action="append",
        help="Hub id or local folder of a sentence-transformers model; may be "
        f"repeated, see --combine. Without it: {DEFAULT_TEACHER}",
    )
    parser.add_argument(
        "--revision",
        action="append",
        type=str_or_none,
        help="Branch, tag or commit of a hub model, or none; one for every --teacher, "
        "in the same order, or not at all",
    )
    parser.add_argument(
        "--prompt",
        action="append",
        help="What is put before every sentence, e.g. 'query: ' for E5; once for all "
        "teachers, or once for each, in the same order. Without it: the model's own "
        "default prompt, which few have",
    )
    parser.add_argument(
        "--combine",
        choices=COMBINE,
        default="concat",
        help="How the unit-length embeddings of several teachers make one",
    )
    parser.add_argument(
        "--text",
        action="append",
        required=True,
        help="Kaldi text file `utt_id sentence...`; may be repeated",
    )
    parser.add_argument(
        "--output_dir",
        action="append",
        required=True,
        help="Output folder, one for every --text, in the same order",
    )
    parser.add_argument(
        "--batch_size",
        type=int,
        default=256,
        help="Most sentences a batch; tokens are bounded as well",
    )
    parser.add_argument(
        "--part_size",
        type=int,
        default=8192,
        help="Distinct sentences after which the state is saved, to resume from",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")
    parser.add_argument(
        "--dtype",
        choices=DTYPES,
        default="float32",
        help="Precision of the teacher; the half ones are for GPUs",
    )
    parser.add_argument(
        "--normalize",
        type=str2bool,
        default=True,
        help="Scale every embedding to length 1",
    )
    return parser


def build_encoder(
    args: argparse.Namespace,
    teachers: Sequence[str],
    revisions: Sequence[str | None],
    prompts: Sequence[str | None],
) -> AbsSentenceEncoder:
    """Load the teachers that the command line names."""
    several = len(teachers) > 1
    encoders = [
        SentenceEncoder(
            name,
            revision,
            device=args.device,
            batch_size=args.batch_size,
            normalize=several or args.normalize,
            dtype=args.dtype,
            prompt=prompt,
        )
        for name, revision, prompt in zip(teachers, revisions, prompts, strict=True)
    ]
    if several:
        return EncoderEnsemble(encoders, args.combine, args.normalize)
    return encoders[0]


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command line.

    Args:
        cmd: Arguments; those of the process by default.
    """
    args = get_parser().parse_args(cmd)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if len(args.text) != len(args.output_dir):
        raise ValueError(
            f"--text ({len(args.text)} times) and --output_dir "
            f"({len(args.output_dir)} times) must come in pairs"
        )
    if len(set(map(Path, args.output_dir))) != len(args.output_dir):
        raise ValueError(f"--output_dir must be distinct folders: {args.output_dir}")
    teachers = args.teacher or [DEFAULT_TEACHER]
    revisions = args.revision or [None] * len(teachers)
    if len(revisions) != len(teachers):
        raise ValueError(
            f"--revision ({len(revisions)} times) must come once for every --teacher "
            f"({len(teachers)} times), or not at all"
        )
    prompts = args.prompt or [None]
    if len(prompts) == 1:
        prompts = prompts * len(teachers)
    if len(prompts) != len(teachers):
        raise ValueError(
            f"--prompt ({len(prompts)} times) must come once, or once for every "
            f"--teacher ({len(teachers)} times)"
        )
    key = cache.teacher_key(
        teachers, revisions, args.combine, args.normalize, args.dtype, prompts
    )
    done, todo = [], []
    for text_file, output_dir in zip(args.text, args.output_dir):
        if cache.is_up_to_date(output_dir, {**key, **cache.text_key(text_file)}):
            print(f"{output_dir}: up to date")
            done.append((text_file, output_dir))
        else:
            read_text(text_file, allow_empty=False)  # fail before the model is loaded
            todo.append((text_file, output_dir))
    if not todo:
        return
    embedder = TextEmbedder(
        build_encoder(args, teachers, revisions, prompts), key, args.part_size
    )
    for text_file, output_dir in done:
        embedder.reuse(text_file, output_dir)
    for text_file, output_dir in todo:
        table = embedder.embed(text_file, output_dir)
        print(
            f"{output_dir}: {table['utterances']} utterances, "
            f"{table['distinct_texts']} distinct texts"
        )
        cut = table["truncated"]
        if cut["utterances"]:
            print(
                f"{output_dir}: {cut['utterances']} texts are cut off at "
                f"{cut['tokens']} tokens, the most that the teacher reads: "
                f"{' '.join(cut['first'])}{' ...' if cut['utterances'] > 5 else ''}"
            )


if __name__ == "__main__":
    run(main)
