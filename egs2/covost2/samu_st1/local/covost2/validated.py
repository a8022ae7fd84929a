"""Transcribed clips of a Common Voice language."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from covost2.tsv import TsvReader

from espnet_samu.text.clean import clean_text

SPEAKER_DIGITS = 16
"""Hexadecimal digits of a speaker id. All are of one length, so that speakers sort as
their utterances do; Common Voice's own have 128."""
_HEX = re.compile(r"[0-9a-f]{16,}")
# Anything else, or longer, could not be part of an utterance id.
_NAME = re.compile(r"(?!\.)[\w.-]+")
_LONGEST = 90  # bytes


class Clip(NamedTuple):
    """Who says what."""

    speaker: str
    """``SPEAKER_DIGITS`` digits."""
    sentence: str
    """Transcript as Common Voice has it: cased, with punctuation; may be empty."""


@dataclass
class Validated:
    """validated.tsv of a language."""

    clips: dict[str, Clip] = field(default_factory=dict)
    """By file name, such as ``common_voice_fr_17299399.mp3``."""
    duplicates: list[str] = field(default_factory=list)
    """File names of further lines of the same clip, which are not used."""
    malformed: list[int] = field(default_factory=list)
    """Numbers of lines that cannot be used."""


def speaker_id(client: str, name: str) -> str:
    """Return the id of a speaker.

    Args:
        client: Common Voice's client_id; the first digits of it are enough to find the
            speaker in validated.tsv.
        name: File name of the clip: without a client_id it is a speaker of its own.
    """
    if not _HEX.match(client):
        client = hashlib.sha256((client or name).encode()).hexdigest()
    return client[:SPEAKER_DIGITS]


def read_validated(folder: Path) -> Validated:
    """Read validated.tsv of a language.

    Args:
        folder: Common Voice's folder of the language.

    Raises:
        ValueError: See :class:`TsvReader`.
    """
    result = Validated()
    reader = TsvReader(folder / "validated.tsv", ("path", "client_id", "sentence"))
    clips = result.clips
    for name, client, sentence in reader:
        if not _NAME.fullmatch(name) or len(name.encode()) > _LONGEST:
            result.malformed.append(reader.line)
        elif name in clips:
            result.duplicates.append(name)
        else:
            clips[name] = Clip(speaker_id(client, name), clean_text(sentence))
    result.malformed = sorted(result.malformed + reader.malformed)
    return result


def stem(name: str) -> str:
    """Return a file name without what is behind its last point."""
    return name.rpartition(".")[0] or name


def utterance_id(clip: Clip, lang: str, name: str, suffix: str = "") -> str:
    """Return ``<speaker>-<lang>-<clip><suffix>``."""
    return f"{clip.speaker}-{lang}-{stem(name)}{suffix}"
