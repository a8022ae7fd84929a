"""The record that every corpus reader returns, and the ids that it may have."""

from __future__ import annotations

import re
from typing import NamedTuple

LONGEST = 128  # characters of an id
_PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,128}")  # by far the most, and fast


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
    split: str = ""
    """Such as train, dev or test; empty: the corpus has none."""
    recording: str = ""
    """Id of the recording that the utterance is cut out of; empty: it is all of it."""
    start: str = ""
    """Begin of the utterance in the recording, in seconds, as ``segments`` has it."""
    end: str = ""
    """End of the utterance in the recording, in seconds."""
    line: int = 0
    """Line number, from 1, in the file that lists the utterance."""


def id_fault(value: str) -> str | None:
    """Return why an utterance or speaker id cannot be used, else None.

    ESPnet names files after ids.
    """
    if _PLAIN.fullmatch(value):
        return None
    if not value:
        return "is empty"
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
