"""Transcribed speech for the distillation: Common Voice without dev and test sets."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from espnet_samu.corpora.common_voice import (
    Clip,
    Clips,
    CommonVoice,
    TsvReader,
    read_sentences,
    read_validated,
    utterance_id,
)
from espnet_samu.corpora.counts import WHOLE, Counts
from espnet_samu.corpora.covost2_directions import ENGLISH, INTO_ENGLISH, SCENARIOS
from espnet_samu.corpora.covost2_translations import COLUMNS, find_translations
from espnet_samu.corpora.data_dir import (
    TRANSCRIPTS,
    DataDir,
    combine,
    text_file,
    write_data_dir,
)
from espnet_samu.corpora.held_out import (
    CLIP_OF_TEST,
    SENTENCE_OF_TEST,
    HeldOut,
    sentence_key,
)
from espnet_samu.corpora.utterance import Utterance

ALL = SCENARIOS["multi"].test
HELD_OUT = ("dev", "test")


class CovostHeldOut(HeldOut):
    """Clips and sentences of the development and test sets of all directions.

    They do not depend on the scenario: the transcripts and translations of every
    direction count whose file can be found.

    Args:
        common_voice: Release that the translations belong to.
        covost2: Folder of the translations.
        others: Further releases, which have many of its clips under the same names:
            their transcripts count, too.
    """

    def __init__(
        self, common_voice: CommonVoice, covost2: Path, *others: CommonVoice
    ) -> None:
        super().__init__()
        self.common_voice = common_voice
        self.others = others
        found = {d: find_translations(covost2, common_voice, d) for d in ALL}
        self.translations = {d: tsv for d, tsv in found.items() if tsv is not None}
        self.languages = {direction.source for direction in self.translations}
        """Source languages whose translations were found."""
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
                    self.add([translation])
        for lang, clips in names.items():
            self.clips |= clips
            unknown = set(clips)
            for folder in self.folders(lang):
                said = read_sentences(folder, clips)
                self.add(said.values())
                unknown -= said.keys()
            # What release 4 has no transcript of is in no test set either.
            if unknown and self.common_voice.find(lang) is None:
                self.unknown[lang] = len(unknown), len(clips)


DEV_SHARE = 0.05
"""Largest share of the sentences of a language that are for development [ours]."""
SENTENCE_OF_DEV = "sentence of development"
TOO_MANY = "over --samu_max_clips"
UNKNOWN = "clips of dev and test sets whose sentence is not known"


@dataclass(frozen=True)
class Limits:
    """How much of a language is used."""

    dev: int
    """Sentences for development, one clip of each."""
    train: int
    """Most clips for training; 0: all."""


class Distillation:
    """Makes the sets of the distillation.

    Args:
        common_voice: The release to take clips from.
        held_out: What must not be taken.
        clips: Sound files.
        limits: How much of a language.
        keep_quotes: See :func:`read_validated`.
    """

    def __init__(
        self,
        common_voice: CommonVoice,
        held_out: CovostHeldOut,
        clips: Clips,
        limits: Limits,
        keep_quotes: bool = False,
    ) -> None:
        self.keep_quotes = keep_quotes
        self.common_voice = common_voice
        self.held_out = held_out
        self.clips = clips
        self.limits = limits
        self.counts = Counts()

    def present(self, langs: Sequence[str]) -> list[str]:
        """Return the languages that can be used; the others are logged."""
        found = [lang for lang in langs if self.common_voice.find(lang) is not None]
        absent = [lang for lang in langs if lang not in found]
        if absent:
            logging.info(
                f"distillation: {len(absent)} languages are not in "
                f"{self.common_voice.folder}: {' '.join(absent)}"
            )
        unchecked = [
            lang
            for lang in found
            if lang in (*INTO_ENGLISH, ENGLISH) and lang not in self.held_out.languages
        ]
        if unchecked:
            logging.warning(
                f"distillation: without {' '.join(unchecked)}: of these CoVoST-2's "
                "translations are not there, which say what is a dev or test clip"
            )
        return [lang for lang in found if lang not in unchecked]

    def known(self, langs: Sequence[str]) -> list[str]:
        """Return the languages whose held-out sentences are known; others are noted."""
        unknown = self.held_out.unknown
        for lang in filter(unknown.get, langs):
            count = "{} of {}".format(*unknown[lang])
            folder = self.held_out.common_voice.folder / lang
            logging.warning(
                f"distillation: without {lang}: of {count} clips of its dev and test "
                "sets the sentence is not known, which other clips may say. Put "
                f"validated.tsv of release 4 into {folder}; it needs no clips"
            )
            self.counts.notes.append(f"{lang}: left out: {UNKNOWN}: {count}")
        return [lang for lang in langs if lang not in unknown]

    def make(
        self, langs: Sequence[str], work: Path, outputs: Mapping[str, Path]
    ) -> None:
        """Write the sets of all languages.

        Args:
            langs: Languages that are there.
            work: Folder for the sets of single languages.
            outputs: Data directories ``train`` and ``dev``.

        Raises:
            ValueError: Nothing is left.
        """
        self.held_out.read()
        langs = self.known(langs)
        parts: dict[str, list[Path]] = {"train": [], "dev": []}
        for lang in langs:
            for split, chosen in self.choose(lang).items():
                if chosen:
                    part = work / lang / split
                    self.write(part, lang, chosen)
                    parts[split].append(part)
        for split, folders in parts.items():
            if not folders:
                raise ValueError(
                    f"distillation: no clip of {' '.join(langs) or 'any language'} is "
                    f"left for {split}; it needs at least {round(1 / DEV_SHARE)} "
                    "sentences of a language that are in no dev or test set"
                )
            text = text_file(TRANSCRIPTS)
            combine({part: {text: text} for part in folders}, outputs[split])
            self.held_out.check(outputs[split])

    def choose(self, lang: str) -> dict[str, dict[str, Clip]]:
        """Choose the clips of a language.

        Returns:
            For ``train`` and ``dev``: clips by file name.
        """
        folder = self.common_voice.language(lang)
        file = folder / "validated.tsv"
        validated = read_validated(folder, self.keep_quotes)
        validated.note(self.counts, lang, folder)
        self.counts.of(lang).listed = len(validated.clips)

        def drop(name: str, reason: str) -> None:
            line = validated.clips[name].line
            self.counts.drop(lang, WHOLE, name, reason, file, line)

        by_sentence: dict[bytes, list[str]] = {}
        wordless = sentence_key("")
        for name, clip in validated.clips.items():
            if name in self.held_out.clips:
                drop(name, CLIP_OF_TEST)
                continue
            key = sentence_key(clip.sentence)
            if key in self.held_out.sentences:
                drop(name, SENTENCE_OF_TEST)
            elif key == wordless:
                drop(name, "empty transcript")
            else:
                by_sentence.setdefault(key, []).append(name)
        # The keys are hashes: their order is a choice by chance, the same each time.
        most = min(self.limits.dev, int(DEV_SHARE * len(by_sentence)))
        dev, train = [], []
        for number, key in enumerate(sorted(by_sentence)):
            names = sorted(by_sentence[key])
            if number >= most:
                train += names
                continue
            dev.append(names[0])
            for name in names[1:]:
                drop(name, SENTENCE_OF_DEV)
        train, others = self.limit(train)
        for name in others:
            drop(name, TOO_MANY)
        faults = self.clips.faults(folder, [*train, *dev])
        for name, reason in faults.items():
            drop(name, reason)
        return {
            split: {n: validated.clips[n] for n in names if n not in faults}
            for split, names in (("train", train), ("dev", dev))
        }

    def limit(self, names: list[str]) -> tuple[list[str], list[str]]:
        """Choose the training clips of a large language by a hash of the name.

        Returns:
            The chosen ones, and the others.
        """
        most = self.limits.train
        if not most or len(names) <= most:
            return names, []
        names = sorted(names, key=lambda n: hashlib.sha256(n.encode()).digest())
        return names[:most], names[most:]

    def write(self, output: Path, lang: str, chosen: Mapping[str, Clip]) -> None:
        """Write the data directory of one language and split."""
        folder = self.common_voice.language(lang)
        data = DataDir([text_file(TRANSCRIPTS)])
        path = self.clips.paths(folder)
        for name, clip in chosen.items():
            utterance = Utterance(
                id=utterance_id(clip, lang, name),
                speaker=clip.speaker,
                audio=path(name),
                language=lang,
                transcript=clip.sentence,
                line=clip.line,
            )
            data.add(utterance)
        write_data_dir(data, output)
