"""Keys of sentences that no training set may hold."""

from __future__ import annotations

import hashlib
import unicodedata


class _Content(dict):
    """Table for ``str.translate``: without punctuation, symbols and blanks."""

    def __missing__(self, code: int) -> int | None:
        kept = None if unicodedata.category(chr(code))[0] in "PSZC" else code
        self[code] = kept
        return kept


_CONTENT = _Content()


def sentence_key(sentence: str) -> bytes:
    """Return a key that sentences of the same letters and digits share.

    Case, punctuation, blanks and Unicode's compatibility forms make no difference.
    """
    text = unicodedata.normalize("NFKC", sentence).casefold().translate(_CONTENT)
    return hashlib.blake2b(text.encode(), digest_size=8).digest()
