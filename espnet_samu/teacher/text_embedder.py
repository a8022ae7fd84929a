"""Embedding of Kaldi text files into archives."""

import logging
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from typeguard import typechecked

from espnet_samu.teacher import cache
from espnet_samu.teacher.abs_sentence_encoder import AbsSentenceEncoder
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
        key: What its embeddings depend on, see `cache.teacher_key`.
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
            output_dir: Its folder, for which `cache.is_up_to_date` holds. It is passed
                over if the hub gave another commit of the model then.
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
