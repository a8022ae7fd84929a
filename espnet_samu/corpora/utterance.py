"""The record that every corpus reader returns: its fields, ids and cleaned texts."""

from __future__ import annotations

import re
import unicodedata
from hashlib import blake2b
from typing import NamedTuple

import regex

LONGEST = 128  # characters of an id
_LONGEST_SPEAKER = 100  # bytes; the rest is the utterance's
_PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,128}")  # by far the most, and fast
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")
_READABLE = 40  # characters of an id that stay in its replacement

# Control characters, and format characters without a shape: byte order marks,
# zero-width spaces, direction marks, soft hyphens. Joiners (U+200C, U+200D) shape
# Persian and Indic words and emoji.
_INVISIBLE = regex.compile(r"(?V1)[\p{Cc}[\p{Cf}&&\p{DI}]--[\u200C\u200D]]+")
# What has a shape. Tokenizers take U+2581 for a blank, and U+FFFD stands where a
# decoder has failed.
_VISIBLE = regex.compile(r"[^\p{DI}\p{Cc}\p{Z}\u2581\uFFFD]")


class Utterance(NamedTuple):
    """A piece of transcribed or translated speech."""

    id: str
    """Utterance id, which begins with the speaker."""
    speaker: str
    """Speaker id; the utterance id if the speaker is not known."""
    audio: str
    """Path of the recording."""
    language: str
    """Source language."""
    transcript: str = ""
    """In the source language; empty: not known."""
    translation: str = ""
    """In the target language; empty: not known."""
    target_language: str = ""
    """Language of the translation."""
    recording: str = ""
    """Id of the recording that the utterance is cut out of; empty: it is all of it."""
    start: str = ""
    """Begin of the utterance in the recording, in seconds, as ``segments`` has it."""
    end: str = ""
    """End of the utterance in the recording, in seconds."""
    line: int = 0
    """Line number, from 1, in the file that lists the utterance."""

    @property
    def piece(self) -> str:
        """What ``segments`` has: recording, start and end."""
        return f"{self.recording} {self.start} {self.end}"


def id_fault(value: str) -> str | None:
    """Return why an utterance or speaker id cannot be used, else None.

    ESPnet names files after ids.
    """
    if not value:
        return "is empty"
    if not value.strip("."):
        return "has dots alone"
    if _PLAIN.fullmatch(value):
        return None
    if any(map(str.isspace, value)):
        return "has a space"
    if "/" in value:
        return "has a /"
    if not value.isprintable():
        return "has control characters"
    # A file name has at most 255 bytes, and speed perturbation makes it longer.
    if len(value) > LONGEST or len(value.encode()) > 200:
        return f"is longer than {LONGEST} characters"
    return None


def safe_ids(utt: str, speaker: str = "") -> tuple[str, str]:
    """Return the ids of an utterance and its speaker as file names can have them.

    The first begins with the second: Kaldi's tools need the utterances of a speaker
    together after sorting. An id that is too long, or has what no file name should
    have, is replaced by its end and a checksum, which keeps two such ids apart.

    Args:
        utt: Id of the utterance, with or without its speaker before it.
        speaker: Id of the speaker; empty: not known, and the utterance's own.
    """
    if not speaker:
        utt = _replaced(utt) if id_fault(utt) else utt
        return utt, utt
    rest = utt.removeprefix(f"{speaker}-")
    if id_fault(speaker) or len(speaker.encode()) > _LONGEST_SPEAKER:
        speaker = _replaced(speaker)
    if id_fault(f"{speaker}-{rest}"):
        rest = _replaced(rest, LONGEST - len(speaker) - 1)
    return f"{speaker}-{rest}", speaker


def _replaced(value: str, most: int = LONGEST) -> str:
    """Return the end of an id and a checksum, of at most so many characters."""
    checksum = f"_{blake2b(value.encode(), digest_size=6).hexdigest()}"
    readable = min(_READABLE, most - len(checksum))
    return _UNSAFE.sub("_", value)[-readable:] + checksum


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
    text = text.strip()
    if text.isascii():
        return text
    text = unicodedata.normalize("NFC", text)
    return text if _VISIBLE.search(text) else ""


def single_blanks(text: str) -> str:
    """Return a text with one space for blanks of any kind, and none around it."""
    if text.isprintable() and "  " not in text and text.strip() == text:
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
    if len(text) < 2 or not text[0] == text[-1] == '"':
        return text
    inner = text[1:-1]
    if not ('""' in inner or always) or '"' in inner.replace('""', ""):
        return text
    return inner.replace('""', '"')
