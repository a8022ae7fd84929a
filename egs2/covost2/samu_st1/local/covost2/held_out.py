"""What no distillation may hear or read: CoVoST-2's development and test sets."""

from __future__ import annotations

import hashlib
import unicodedata
from pathlib import Path

from covost2.folders import CommonVoice, find_translations
from covost2.scenarios import SCENARIOS
from covost2.sets import TRANSCRIPTS, clip_of, lines, text_file
from covost2.translations import COLUMNS
from covost2.tsv import TsvReader
from covost2.validated import read_validated, stem

ALL = SCENARIOS["multi"].test
HELD_OUT = ("dev", "test")


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


class HeldOut:
    """Clips and sentences of the development and test sets of all directions.

    Whatever the scenario: translations of every direction that can be found count,
    their transcripts and, in whatever language, their translations.

    Args:
        common_voice: Release that the translations belong to.
        covost2: Folder of the translations.
        others: Further releases, which have many of its clips under the same names:
            their transcripts count, too.
    """

    def __init__(
        self, common_voice: CommonVoice, covost2: Path, *others: CommonVoice
    ) -> None:
        self.common_voice = common_voice
        self.others = others
        found = {d: find_translations(covost2, common_voice, d) for d in ALL}
        self.translations = {d: tsv for d, tsv in found.items() if tsv is not None}
        self.languages = {direction.source for direction in self.translations}
        """Source languages whose translations were found."""
        self.clips: set[str] = set()
        self.sentences: set[bytes] = set()
        self.unknown: dict[str, tuple[int, int]] = {}
        """By language whose sentences are not all known: held-out clips without a
        transcript, held-out clips."""

    def files(self) -> list[Path]:
        """Return what :meth:`read` reads."""
        folders = [f for lang in sorted(self.languages) for f in self.folders(lang)]
        tables = [folder / "validated.tsv" for folder in folders]
        return [*self.translations.values(), *tables]

    def folders(self, lang: str) -> list[Path]:
        """Return the folders of a language, of all releases."""
        found = (release.find(lang) for release in (self.common_voice, *self.others))
        return list(dict.fromkeys(folder for folder in found if folder is not None))

    def read(self) -> None:
        """Read clips and sentences.

        Raises:
            ValueError: A file cannot be read.
        """
        names: dict[str, set[str]] = {lang: set() for lang in self.languages}
        for direction, tsv in self.translations.items():
            for name, translation, split in TsvReader(tsv, COLUMNS):
                if split in HELD_OUT:
                    names[direction.source].add(name)
                    self.sentences.add(sentence_key(translation))
        for lang, clips in names.items():
            self.clips |= clips
            unknown = set(clips)
            for folder in self.folders(lang):
                said = read_validated(folder).clips
                common = clips & said.keys()
                self.sentences |= {sentence_key(said[n].sentence) for n in common}
                unknown -= common
            # What release 4 has no transcript of is in no test set either.
            if unknown and self.common_voice.find(lang) is None:
                self.unknown[lang] = len(unknown), len(clips)
        # Nothing to recognise a sentence by.
        self.sentences.discard(sentence_key(""))

    def check(self, data_dir: Path) -> None:
        """See that a data directory has nothing of them.

        Raises:
            ValueError: It has; names one clip or sentence.
        """
        held_out = set(map(stem, self.clips))
        for utt, wav in lines(data_dir / "wav.scp"):
            if clip_of(wav) in held_out:
                raise ValueError(f"{data_dir}: {utt.decode()} is of a dev or test set")
        for utt, text in lines(data_dir / text_file(TRANSCRIPTS)):
            if sentence_key(text.decode()) in self.sentences:
                raise ValueError(
                    f"{data_dir}: {utt.decode()} says a sentence of a dev or test set"
                )
