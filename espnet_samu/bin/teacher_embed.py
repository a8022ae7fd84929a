#!/usr/bin/env python3
"""Compute the teacher's sentence embeddings once, before the distillation."""

import argparse
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from espnet2.utils.types import str2bool, str_or_none

from espnet_samu.teacher import cache
from espnet_samu.utils.kaldi_io import read_text, write_vectors

if TYPE_CHECKING:
    from espnet_samu.teacher.sentence_encoder import SentenceEncoder

# Distinct sentences encoded, and held in memory, at a time
CHUNK = 32768


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description="Embed the sentences of Kaldi text files with a "
        "sentence-transformers model: embed.ark, embed.scp (one vector an utterance) "
        "and embed.json. Does nothing where embed.json already matches.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--teacher",
        default="sentence-transformers/LaBSE",
        help="Hub id or local folder of a sentence-transformers model",
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
        help="Kaldi text file `utt_id sentence...`; may be repeated",
    )
    parser.add_argument(
        "--output_dir",
        action="append",
        required=True,
        help="Output folder, one for every --text, in the same order",
    )
    parser.add_argument("--batch_size", type=int, default=256, help="Sentences a batch")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")
    parser.add_argument(
        "--normalize",
        type=str2bool,
        default=True,
        help="Scale every embedding to length 1",
    )
    return parser


def embed_text(
    encoder: "SentenceEncoder",
    text_file: str,
    output_dir: str,
    key: dict[str, str | bool | None],
) -> None:
    """Embed one text file; every distinct sentence is encoded and stored once.

    Args:
        encoder: The teacher.
        text_file: Kaldi text file.
        output_dir: Folder for embed.ark, embed.scp and embed.json.
        key: What the embeddings are made from, see `cache.cache_key`.

    Raises:
        ValueError: Naming file and line, for an utterance without text.
    """
    text = read_text(text_file, allow_empty=False)
    first: dict[str, str] = {}  # sentence -> the first utterance that has it
    entry_of = {utt: first.setdefault(sentence, utt) for utt, sentence in text.items()}

    def vectors() -> Iterator[tuple[str, np.ndarray]]:
        sentences = list(first)
        for start in range(0, len(sentences), CHUNK):
            chunk = sentences[start : start + CHUNK]
            yield from zip((first[s] for s in chunk), encoder.encode(chunk))
            logging.info(
                f"{text_file}: {start + len(chunk)}/{len(sentences)} sentences"
            )

    # A half-replaced folder must not look valid
    (Path(output_dir) / cache.CACHE_FILE).unlink(missing_ok=True)
    write_vectors(output_dir, vectors(), entry_of)
    counts = {
        "dimension": encoder.dimension,
        "utterances": len(text),
        "distinct_texts": len(first),
    }
    cache.write_cache(output_dir, {**key, **counts})
    print(f"{output_dir}: {len(text)} utterances, {len(first)} distinct texts")


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
    fingerprint = cache.hash_folder(args.teacher)
    todo = []
    for text_file, output_dir in zip(args.text, args.output_dir):
        key = cache.cache_key(
            args.teacher, args.revision, args.normalize, text_file, fingerprint
        )
        if cache.is_up_to_date(output_dir, key):
            print(f"{output_dir}: up to date")
        else:
            read_text(text_file, allow_empty=False)  # fail before the model is loaded
            todo.append((text_file, output_dir, key))
    if not todo:
        return

    from espnet_samu.teacher.sentence_encoder import SentenceEncoder

    encoder = SentenceEncoder(
        args.teacher, args.revision, args.device, args.batch_size, args.normalize
    )
    for text_file, output_dir, key in todo:
        embed_text(encoder, text_file, output_dir, key)


if __name__ == "__main__":
    main()
