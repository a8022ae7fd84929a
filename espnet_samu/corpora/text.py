"""Cleaning of corpus texts: invisible characters, and quotes of CSV writers."""

from __future__ import annotations

import unicodedata

import regex

# Control characters, and format characters without a shape: byte order marks,
# zero-width spaces, direction marks, soft hyphens. Joiners (U+200C, U+200D) shape
# Persian and Indic words and emoji.
_INVISIBLE = regex.compile(r"(?V1)[\p{Cc}[\p{Cf}&&\p{DI}]--[\u200C\u200D]]+")
# What has a shape. Tokenizers take U+2581 for a blank, and U+FFFD stands where a
# decoder has failed.
_VISIBLE = regex.compile(r"[^\p{DI}\p{Cc}\p{Z}\u2581\uFFFD]")


def clean_text(text: str) -> str:
    """Return a transcript or translation as written to data directories.

    It is in Unicode's composed form (NFC), which sentencepiece writes, without control
    characters, invisible marks and blanks around it. Blanks inside stay as they are.

    Args:
        text: One line.

    Returns:
        The text; "" where a tokenizer would find nothing in it.
    """
    if not text.isprintable():
        text = _INVISIBLE.sub("", text)
    text = unicodedata.normalize("NFC", text.strip())
    return text if _VISIBLE.search(text) else ""


def single_blanks(text: str) -> str:
    """Return a text with one space for blanks of any kind, and none around it."""
    if text.isprintable() and "  " not in text and " " not in (text[:1], text[-1:]):
        return text  # nearly every sentence, and faster to see than to split it
    return " ".join(text.split())


def csv_unquote(text: str, always: bool = True) -> str:
    """Return a field without the quotes that CSV writers put around it.

    They do where a field has quotes of its own, which they double. Other quotes are
    part of the text.

    Args:
        text: A field without blanks around it.
        always: Whether quotes around a text that has none inside are removed, too:
            they cannot be told from those of a quotation.
    """
    inner = text[1:-1]
    if len(text) < 2 or not text[0] == text[-1] == '"':
        return text
    if not ('""' in inner or always) or '"' in inner.replace('""', ""):
        return text
    return inner.replace('""', '"')
