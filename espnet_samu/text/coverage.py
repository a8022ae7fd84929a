"""Coverage of texts by a vocabulary: pieces, and characters it cannot write."""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import batched
from typing import Any, NamedTuple

import sentencepiece

from espnet_samu.corpora.utterance import clean_text
from espnet_samu.utils.command import progress
from espnet_samu.utils.kaldi_io import iterate_text

# Texts as a vocabulary writes them: decode(encode(text)).
RoundTrip = Callable[[Sequence[str]], list[str]]

# Sentences that are tokenised at once, by all threads.
_BATCH = 10000
# Characters that a report lists, the most frequent ones.
LISTED = 50


class PieceCounts(NamedTuple):
    """Piece statistics of a text."""

    sentences: int
    pieces: Counter[str]
    """How often each piece occurs; unknown characters stand for themselves."""


def _sentences(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield line number, utterance and sentence of a file, and show progress."""
    return progress(iterate_text(text), None, f"sentences of {text}")


def count_pieces(
    processor: sentencepiece.SentencePieceProcessor, texts: Sequence[str], nj: int = 1
) -> PieceCounts:
    """Tokenise Kaldi text files.

    Args:
        processor: sentencepiece's tokeniser.
        texts: Files of lines ``utt_id sentence...``.
        nj: Threads.
    """
    sentences = 0
    pieces: Counter[str] = Counter()
    for text in texts:
        for batch in batched(_sentences(text), _BATCH):
            lines = [line for _, _, line in batch]
            sentences += len(lines)
            for tokens in processor.encode(lines, out_type=str, num_threads=nj):
                pieces.update(tokens)
    return PieceCounts(sentences, pieces)


def round_trip(
    processor: sentencepiece.SentencePieceProcessor, nj: int = 1
) -> RoundTrip:
    """Return a function that tokenises and detokenises texts with its own pieces.

    Args:
        processor: sentencepiece's tokeniser.
        nj: Threads.
    """

    def write(lines: Sequence[str]) -> list[str]:
        return processor.decode(processor.encode(list(lines), num_threads=nj))

    return write


class Losses(NamedTuple):
    """Differences between texts and what a vocabulary writes."""

    sentences: int
    changed: int
    """Sentences with a change that scores see, i.e. of another kind than blanks."""
    characters: Counter[str]
    """Characters that are not written, and how often."""

    def report(self) -> dict[str, Any]:
        """Return the counts for JSON."""
        return {
            "sentences": self.sentences,
            "changed_sentences": self.changed,
            "changed_characters": dict(self.characters.most_common(LISTED)),
        }


def find_losses(write: RoundTrip, texts: Sequence[str]) -> Losses:
    """Compare texts with what a vocabulary writes.

    Args:
        write: Of the vocabulary.
        texts: Kaldi text files.

    Raises:
        ValueError: A sentence is empty to the vocabulary; names file and line.
    """
    sentences, changed = 0, 0
    characters: Counter[str] = Counter()
    for text in texts:
        for batch in batched(_sentences(text), _BATCH):
            lines = [line for _, _, line in batch]
            sentences += len(lines)
            for (number, utt, line), written in zip(batch, write(lines)):
                if written == line:
                    continue
                if not written.strip():
                    raise ValueError(
                        f"{text}:{number}: the translation of '{utt}', {line!r}, is "
                        "empty to the vocabulary; take the utterance out of the data"
                    )
                characters.update(Counter(line) - Counter(written))
                changed += written.split() != line.split()
    return Losses(sentences, changed, characters)


def can_be_added(write: RoundTrip, character: str) -> bool:
    """Return whether an unknown character can be added as a piece.

    Blanks, invisible characters and what is the same in Unicode's composed form (NFC)
    are left to stage 1.

    Args:
        write: Of the vocabulary.
        character: One of :class:`Losses`.
    """
    between = f"a{character}a"
    return (
        clean_text(between) == between
        and not character.isspace()
        and character not in "\u2581\ufffd"
        and write([character]) != [character]
    )


def name_character(character: str) -> str:
    """Return a readable form of a character: itself or, e.g., U+200C."""
    if character.isprintable() and unicodedata.category(character)[0] not in "MZ":
        return character
    return f"U+{ord(character):04X}"


def name_characters(counts: dict[str, int]) -> str:
    """Return characters and their counts: ``， 12, ？ 3``."""
    return ", ".join(f"{name_character(c)} {n}" for c, n in counts.items())


def count_characters(pieces: Mapping[str, int]) -> Counter[str]:
    """Return how often each character occurs in pieces, which occur so often."""
    characters: Counter[str] = Counter()
    for piece, n in pieces.items():
        for character in piece:
            characters[character] += n
    return characters


def unknown_characters(
    processor: sentencepiece.SentencePieceProcessor, pieces: Mapping[str, int]
) -> Counter[str]:
    """Return the characters that become ``<unk>``, and their counts.

    Args:
        processor: Tokeniser that made the pieces.
        pieces: From :func:`count_pieces`; unknown characters in a row are one piece.
    """
    unknown = processor.unk_id()
    return count_characters(
        {p: n for p, n in pieces.items() if processor.piece_to_id(p) == unknown}
    )


def compare(
    full: sentencepiece.SentencePieceProcessor,
    trimmed: sentencepiece.SentencePieceProcessor,
    text: str,
    nj: int = 1,
) -> dict[str, Any]:
    """Compare a trimmed with the full vocabulary on a text not used for trimming.

    Args:
        full: Tokeniser of the whole vocabulary.
        trimmed: Tokeniser of the kept pieces.
        text: Kaldi text file.
        nj: Threads.

    Returns:
        ``sentences``; ``pieces`` of the full tokeniser, those of them that are
        ``not_kept``, and ``pieces_trimmed`` that are made in their place; number of
        characters that are unknown to the full and to the trimmed tokeniser, and the
        most frequent ones that only the trimmed one does not know.
    """
    before = count_pieces(full, [text], nj)
    after = count_pieces(trimmed, [text], nj)
    unknown_before = unknown_characters(full, before.pieces)
    unknown_after = unknown_characters(trimmed, after.pieces)
    lost = Counter({c: n for c, n in unknown_after.items() if c not in unknown_before})
    not_kept = sum(
        n
        for piece, n in before.pieces.items()
        if full.piece_to_id(piece) != full.unk_id()
        and trimmed.piece_to_id(piece) == trimmed.unk_id()
    )
    return {
        "file": text,
        "sentences": before.sentences,
        "pieces": before.pieces.total(),
        "not_kept": not_kept,
        "pieces_trimmed": after.pieces.total(),
        "unknown_before": unknown_before.total(),
        "unknown_after": unknown_after.total(),
        "lost_characters": dict(lost.most_common(LISTED)),
    }
