"""What a search finds."""

from typing import List, NamedTuple


class Hypothesis(NamedTuple):
    """One translation as rows of the token list."""

    tokens: List[int]
    """Without start, target-language and end token."""
    length: int
    """Number of tokens that the score counts: the end token is one."""
    score: float
    """Log-probability with its bonuses, divided by length ** length_penalty."""


class Translation(NamedTuple):
    """One translation of an utterance."""

    text: str
    """Detokenised."""
    token: List[str]
    """Pieces, without the start, target-language and end tokens."""
    token_int: List[int]
    """Rows of the token list."""
    score: float
    """Log-probability, divided by the length if normalize_length is set."""
