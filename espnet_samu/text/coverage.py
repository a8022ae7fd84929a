"""How a tokeniser, full or trimmed, cuts texts into pieces."""

from collections import Counter
from itertools import batched
from typing import Any, Dict, NamedTuple, Sequence

import sentencepiece

from espnet_samu.utils.kaldi_io import iterate_text

# Sentences that are tokenised at once, by all threads.
_BATCH = 10000
# Unknown characters that a report lists, the most frequent ones.
_LISTED = 50


class PieceCounts(NamedTuple):
    """What a tokeniser makes of a text."""

    sentences: int
    pieces: Counter
    """How often each piece occurs; unknown characters stand for themselves."""


def count_pieces(
    processor: sentencepiece.SentencePieceProcessor, texts: Sequence[str], nj: int = 1
) -> PieceCounts:
    """Tokenise Kaldi text files.

    Args:
        processor: sentencepiece's tokeniser.
        texts: Files of lines ``utt_id sentence...``.
        nj: Threads.
    """
    sentences, pieces = 0, Counter()
    for text in texts:
        for batch in batched(iterate_text(text), _BATCH):
            lines = [line for _, _, line in batch]
            sentences += len(lines)
            for tokens in processor.encode(lines, out_type=str, num_threads=nj):
                pieces.update(tokens)
    return PieceCounts(sentences, pieces)


def unknown_characters(
    processor: sentencepiece.SentencePieceProcessor, pieces: Counter
) -> Counter:
    """Characters that become ``<unk>``, and how often.

    Args:
        processor: Tokeniser that made the pieces.
        pieces: From :func:`count_pieces`.
    """
    characters: Counter = Counter()
    for piece, n in pieces.items():
        if processor.piece_to_id(piece) == processor.unk_id():
            # Unknown characters in a row are one piece.
            for character in piece:
                characters[character] += n
    return characters


def compare(
    full: sentencepiece.SentencePieceProcessor,
    trimmed: sentencepiece.SentencePieceProcessor,
    text: str,
    nj: int = 1,
) -> Dict[str, Any]:
    """What trimming changes for a text that it was not made for.

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
        "lost_characters": dict(lost.most_common(_LISTED)),
    }
