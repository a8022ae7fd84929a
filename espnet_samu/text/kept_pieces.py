"""Selection of the vocabulary pieces that target texts need."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from fontTools.unicodedata import script_extension

from espnet_samu.text.vocabulary import Vocabulary
from espnet_samu.utils.language_codes import scripts_of


def merge_steps(pieces: Iterable[str], scores: Mapping[str, float]) -> set[str]:
    """Return all pieces that BPE passes through on the way to the given pieces.

    Byte pair encoding merges two neighbours at a time, those first whose union has the
    highest score. If a vocabulary lacks one of these steps, the pieces after it cannot
    be reached. If it has all of them, a text is split into the given pieces as before:
    a merge that was the best of many is the best of fewer.

    Args:
        pieces: Pieces that a tokeniser made.
        scores: Of all pieces of the full model.
    """
    steps: set[str] = set()
    for piece in pieces:
        symbols = list(piece)
        while len(symbols) > 1:
            joined = ["".join(pair) for pair in zip(symbols, symbols[1:])]
            known = [i for i, union in enumerate(joined) if union in scores]
            if not known:
                break
            best = max(known, key=lambda i: scores[joined[i]])
            symbols[best : best + 2] = [joined[best]]
            steps.add(joined[best])
    return steps


# A script that is none of the target languages counts from this share of a text's
# letters on [ours]: one Chinese character in an English corpus does not bring thousands
# of others with it.
SCRIPT_SHARE = 0.01
# Unicode's names for what belongs to all scripts, or to that of the letter before.
_SHARED = frozenset(("Zyyy", "Zinh"))
WORD_START = "▁"

REASONS = (
    "special token",
    "language code",
    "piece of the texts",
    "step to a longer piece",
    "character of the texts",
    "letter of their scripts",
    "common character",
    "least probable piece",
)


def choose(
    vocabulary: Vocabulary, counts: Mapping[str, int], languages: Sequence[str] = ()
) -> dict[int, str]:
    """Return the rows to keep, each with its first reason.

    Args:
        vocabulary: Of the full model.
        counts: How often the tokeniser makes each piece of the target texts.
        languages: Target languages, whose scripts are kept however rare their letters
            are in the texts.

    Returns:
        One of REASONS by row, rows in ascending order.
    """
    pieces = vocabulary.pieces
    characters: Counter = Counter()
    for piece, n in counts.items():
        for character in piece:
            characters[character] += n
    kept_scripts = {*main_scripts(characters)}
    kept_scripts.update(name for lang in languages for name in scripts_of(lang))
    singles = {piece: row for piece, row in pieces.items() if len(piece) == 1}
    steps = merge_steps(counts, vocabulary.scores) if vocabulary.is_bpe else ()
    least_probable = vocabulary.least_probable
    groups: tuple[Iterable[int], ...] = (
        vocabulary.special,
        vocabulary.languages.values(),
        (pieces[piece] for piece in counts if piece in pieces),
        (pieces[piece] for piece in steps),
        (row for c, row in singles.items() if c in characters),
        (row for c, row in singles.items() if scripts(c) & kept_scripts),
        (row for c, row in singles.items() if _is_common(c)),
        # A unigram model derives the cost of an unknown character from it: with it, a
        # text is cut as if all other pieces had been forbidden to the full model.
        [] if least_probable is None else [least_probable],
    )
    reasons: dict[int, str] = {}
    for reason, rows in zip(REASONS, groups, strict=True):
        for row in rows:
            reasons.setdefault(row, reason)
    return dict(sorted(reasons.items()))


def main_scripts(characters: Mapping[str, int]) -> list[str]:
    """Return the scripts of at least SCRIPT_SHARE of the letters.

    Args:
        characters: How often each character occurs.
    """
    letters: Counter = Counter()
    for character, n in characters.items():
        # A mark of several scripts tells nothing.
        if len(scripts(character)) == 1:
            letters.update(dict.fromkeys(scripts(character), n))
    total = sum(letters.values())
    return [name for name, n in letters.items() if n >= SCRIPT_SHARE * total]


def scripts(character: str) -> frozenset[str]:
    """Return the scripts of a letter or mark, e.g. {"Latn"}, by ISO 15924."""
    if unicodedata.category(character)[0] not in "LM":
        return frozenset()
    return frozenset(script_extension(character)) - _SHARED


def _is_common(character: str) -> bool:
    """Return whether a character is common to all scripts, e.g. punctuation."""
    if character.isascii() or character == WORD_START:
        return True
    category = unicodedata.category(character)
    return category[0] == "P" or category in ("Nd", "Sc")
