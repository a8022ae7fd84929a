"""Byte pair encoding: the shorter pieces that a piece is made of."""

from typing import Iterable, Mapping, Set


def merge_steps(pieces: Iterable[str], scores: Mapping[str, float]) -> Set[str]:
    """All pieces that stand between single characters and the given pieces.

    Byte pair encoding joins two neighbours at a time, those first whose union has the
    highest score. With a vocabulary without a step, the pieces after it could not be
    reached. With all of them in it, a text that became the given pieces still does:
    each join that was the best one of many is the best one of fewer.

    Args:
        pieces: Pieces that a tokeniser made.
        scores: Of all pieces of the full model.
    """
    steps: Set[str] = set()
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
