"""Sentences and clips that no training set may hold, and how they are recognised."""

from __future__ import annotations

import argparse
import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from espnet_samu.corpora.data_dir import (
    TRANSCRIPTS,
    clip_of,
    read_lines,
    stem,
    text_file,
)
from espnet_samu.utils.atomic import atomic_write

# Letters that stand for an apostrophe, and marks of vowels and tatweel in Arabic.
# U+0653 to U+0655 are parts of letters.
_IGNORED = {
    *map(ord, "\u02b9\u02bb\u02bc\u02bd\ua78b\ua78c"),
    *map(ord, "\u0640\u0670"),
    *range(0x064B, 0x0653),
    *range(0x0656, 0x0660),
    *range(0x06D6, 0x06DD),
    *range(0x06DF, 0x06E5),
    *(0x06E7, 0x06E8),
    *range(0x06EA, 0x06EE),
}
_SAME = str.maketrans(
    {
        # Persian keyboards have other letters than Arabic ones.
        "\u06a9": "\u0643",  # kaf
        "\u06cc": "\u064a",  # yeh
        "\u0649": "\u064a",
        "\u06c1": "\u0647",  # heh
        # Turkish.
        "\u0131": "i",
        # Russian prints yo as ye.
        "\u0451": "\u0435",
    }
)


class _Content(dict):
    """Table for ``str.translate``: without punctuation, symbols, blanks and marks.

    Letters of ``_SAME`` become one.
    """

    def __missing__(self, code: int) -> int | None:
        ignored = code in _IGNORED or unicodedata.category(chr(code))[0] in "PSZC"
        self[code] = None if ignored else code
        return self[code]


class _Accents(dict):
    """Table for ``str.translate``: without accents that stand alone, such as U+00B4.

    Their compatibility form would put them on the letter before.
    """

    def __missing__(self, code: int) -> int | None:
        self[code] = None if unicodedata.category(chr(code)) == "Sk" else code
        return self[code]


_CONTENT = _Content(_SAME)
_ACCENTS = _Accents()
# The tables are slow where a sentence is not ASCII: most have nothing for them.
_ASCII_IGNORED = bytes(code for code in range(128) if _CONTENT[code] is None)
_LOWER = bytes(range(256)).lower()
_CHANGED = re.compile("[{}]".format("".join(map(chr, {*_IGNORED, *_SAME}))))


def sentence_key(sentence: str) -> bytes:
    """Return a key that sentences of the same letters and digits share.

    No difference is made by case, punctuation, blanks, apostrophes, Unicode's forms of
    a character, marks of vowels and tatweel in Arabic, Persian and Arabic letters of
    one sound, dotted and dotless i, and yo and ye in Russian.
    """
    if sentence.isascii():
        content = sentence.encode().translate(_LOWER, _ASCII_IGNORED)
    else:
        content = _content(sentence).encode()
    return hashlib.blake2b(content, digest_size=8).digest()


def _content(sentence: str) -> str:
    """Return what a sentence is recognised by."""
    ascii_ignored = sentence.encode(errors="ignore").translate(None, _ASCII_IGNORED)
    text = ascii_ignored.decode()
    if not (text.isalnum() and unicodedata.is_normalized("NFKC", text)):
        text = unicodedata.normalize("NFKC", sentence.translate(_ACCENTS))
    # Case folding makes two characters of U+0130.
    text = unicodedata.normalize("NFKC", text.casefold()).replace("i\u0307", "i")
    if text.isalnum() and not _CHANGED.search(text):
        return text
    return text.translate(_CONTENT)


CLIP_OF_TEST = "clip of a dev or test set"
SENTENCE_OF_TEST = "sentence of a dev or test set"


class HeldOut:
    """Clips and sentences of development and test sets."""

    def __init__(self) -> None:
        self.clips: set[str] = set()
        """File names."""
        self.sentences: set[bytes] = set()
        """Keys of transcripts, and of translations in whatever language."""
        self._wordless = sentence_key("")

    def add(self, sentences: Iterable[str]) -> None:
        """Hold sentences out; those without words are ignored."""
        self.sentences.update(map(sentence_key, sentences))
        self.sentences.discard(self._wordless)

    def check(self, data_dir: Path) -> None:
        """Check that a data directory has nothing of them.

        Raises:
            ValueError: It has; names one clip or sentence.
        """
        held_out = set(map(stem, self.clips))
        for utt, wav in read_lines(data_dir / "wav.scp"):
            if clip_of(wav) in held_out:
                raise ValueError(f"{data_dir}: {utt.decode()} is of a dev or test set")
        for utt, text in read_lines(data_dir / text_file(TRANSCRIPTS)):
            if sentence_key(text.decode()) in self.sentences:
                raise ValueError(
                    f"{data_dir}: {utt.decode()} says a sentence of a dev or test set"
                )


def note_overlaps(args: argparse.Namespace) -> None:
    """Print how much of other sets is in training sets, too, and write what.

    Nothing is left out: whether words may come again is for the user to say. The files
    are ``local/<set>/in_training.tsv`` of ``data_dir``.
    """
    audio: dict[bytes, str] = {}  # recording or sentence -> first training set
    sentences: dict[bytes, str] = {}
    for name in args.training:
        for _, wav, key in _contents(args.data_dir / name, args.text):
            audio.setdefault(wav, name)
            sentences.setdefault(key, name)
    sentences.pop(b"", None)
    for name in args.others:
        file = args.data_dir / "local" / name / "in_training.tsv"
        file.unlink(missing_ok=True)
        rows: dict[str, list[tuple[str, str]]] = {"recording": [], "sentence": []}
        total = 0
        for utt, wav, key in _contents(args.data_dir / name, args.text):
            total += 1
            if wav in audio:
                rows["recording"].append((utt.decode(), audio[wav]))
            elif key in sentences:
                rows["sentence"].append((utt.decode(), sentences[key]))
        if not any(rows.values()):
            continue
        with atomic_write(file) as f:
            f.write("utterance\twhat\ttraining set\n")
            for what, found in rows.items():
                f.writelines(f"{utt}\t{what}\t{where}\n" for utt, where in found)
        print(
            f"Warning: of {total} utterances of {name}, {len(rows['recording'])} are "
            f"recordings of a training set, {len(rows['sentence'])} others say a "
            f"sentence of one: {file}"
        )


def _contents(folder: Path, text: str) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield utterance, recording or piece of one, and language and key of its text.

    The last is empty without words or transcripts.
    """
    recordings = dict(read_lines(folder / "wav.scp"))
    pieces = recordings
    if (folder / "segments").exists():
        pieces = {}
        for utt, piece in read_lines(folder / "segments"):
            recording, _, times = piece.partition(b" ")
            pieces[utt] = recordings[recording] + b" " + times
    languages = dict(read_lines(folder / "utt2lang"))
    texts = dict(read_lines(folder / text)) if (folder / text).exists() else {}
    wordless = sentence_key("")
    for utt, piece in pieces.items():
        key = sentence_key(texts.get(utt, b"").decode())
        yield utt, piece, b"" if key == wordless else languages[utt] + b" " + key
