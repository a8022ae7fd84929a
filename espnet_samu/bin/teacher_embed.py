#!/usr/bin/env python3
"""Compute the teacher's sentence embeddings once, before the distillation."""

import argparse
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from espnet2.utils.types import str2bool, str_or_none
from typeguard import typechecked

from espnet_samu.teacher import cache
from espnet_samu.teacher.abs_sentence_encoder import AbsSentenceEncoder
from espnet_samu.teacher.sentence_encoder import (
    COMBINE,
    DEFAULT_TEACHER,
    DTYPES,
    EncoderEnsemble,
    SentenceEncoder,
)
from espnet_samu.utils.command import run
from espnet_samu.utils.kaldi_io import Archives, read_text, write_vectors
from espnet_samu.utils.resume_store import ResumeStore

PART_FOLDER = ".parts"


class TextEmbedder:
    """Embeds text files; repeated sentences are computed once.

    A killed run goes on where it was: finished parts of a file lie in its output
    folder. The longest sentences come first, over the whole file, so that a resumed
    run forms the same batches, and gives the same bits, as one that was not killed.

    Args:
        encoder: The teacher.
        key: What its embeddings depend on, see ``cache.teacher_key``.
        part_size: Distinct sentences a part; so many are lost by a kill, at most.

    Raises:
        ValueError: For a part size below 1.
    """

    @typechecked
    def __init__(
        self,
        encoder: AbsSentenceEncoder,
        key: Mapping[str, Any],
        part_size: int = 8192,
    ) -> None:
        if part_size < 1:
            raise ValueError(f"part_size must be at least 1: {part_size}")
        self.encoder = encoder
        self.key = dict(key)
        self.part_size = part_size
        self._place_of: dict[str, str] = {}  # sentence -> "ark:offset"

    def reuse(self, text_file: str, output_dir: str) -> None:
        """Reuse the embeddings of a text that is up to date.

        Args:
            text_file: Kaldi text file.
            output_dir: Its folder, for which ``cache.is_up_to_date`` holds. Not used if
                the hub gave another commit of the model then.
        """
        if cache.read_cache(output_dir).get("commits") != self.encoder.commits:
            return
        place_of = read_text(Path(output_dir) / cache.SCP_FILE)
        for utt, sentence in read_text(text_file).items():
            self._place_of.setdefault(sentence, place_of[utt])

    def embed(self, text_file: str, output_dir: str) -> dict[str, Any]:
        """Write embed.ark, embed.scp and embed.json of one text file.

        Args:
            text_file: Kaldi text file.
            output_dir: Folder of the output.

        Returns:
            The content of embed.json.

        Raises:
            ValueError: Naming file and line, for an utterance without text; naming the
                sentence, for an embedding that is not finite.
        """
        text_key = cache.text_key(text_file)
        text = read_text(text_file, allow_empty=False)
        first: dict[str, str] = {}  # sentence -> the first utterance that has it
        entry_of = {utt: first.setdefault(s, utt) for utt, s in text.items()}
        new = [sentence for sentence in first if sentence not in self._place_of]
        new.sort(key=len, reverse=True)
        chunks = [
            new[i : i + self.part_size] for i in range(0, len(new), self.part_size)
        ]
        key = {**self.key, "commits": self.encoder.commits}
        parts = ResumeStore(Path(output_dir) / PART_FOLDER, {**key, **text_key})
        self._encode(chunks, parts, text_file)

        def vectors() -> Iterator[tuple[str, np.ndarray]]:
            for sentence in new:
                yield first[sentence], parts[sentence,]
            yield from self._copies(first)

        # A half-replaced folder must not look valid
        (Path(output_dir) / cache.CACHE_FILE).unlink(missing_ok=True)
        write_vectors(output_dir, vectors(), entry_of)
        cut = self.encoder.truncated(list(first))
        utts = [utt for utt, sentence in text.items() if sentence in cut]
        table = {
            **key,
            **text_key,
            "prompts": self.encoder.prompts,
            "truncated": {
                "utterances": len(utts),
                "tokens": min(cut.values(), default=None),
                "first": utts[:5],
            },
            "text": str(text_file),
            "dimension": self.encoder.dimension,
            "utterances": len(text),
            "distinct_texts": len(first),
            **cache.describe_files(output_dir),
            "versions": cache.library_versions(),
        }
        cache.write_cache(output_dir, table)
        parts.remove()
        self.reuse(text_file, output_dir)
        return table

    def _encode(self, chunks: list[list[str]], parts: ResumeStore, name: str) -> None:
        """Compute and save the missing parts."""
        from tqdm import tqdm

        missing = [chunk for chunk in chunks if any((s,) not in parts for s in chunk)]
        if len(missing) < len(chunks):
            logging.info(
                f"{name}: {len(chunks) - len(missing)} of {len(chunks)} parts are "
                f"there from before: {parts.folder}"
            )
        total, done, start = sum(map(len, missing)), 0, time.perf_counter()
        # disable=None: no bar where stderr is not a terminal
        with tqdm(total=total, desc=name, unit="sentence", disable=None) as bar:
            for chunk in missing:
                vectors = self.encoder.encode(chunk, bar.update)
                parts.save({(s,): v for s, v in zip(chunk, vectors)})
                done += len(chunk)
                if bar.disable:
                    rate = done / (time.perf_counter() - start)
                    logging.info(f"{name}: {done}/{total} sentences, {rate:.0f}/s")

    def _copies(self, first: Mapping[str, str]) -> Iterator[tuple[str, np.ndarray]]:
        """Yield utterance and vector of sentences that other files have embedded."""
        with Archives() as archives:
            for sentence, utt in first.items():
                if sentence in self._place_of:
                    yield utt, archives.read(self._place_of[sentence])


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
    """Run the command."""
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
