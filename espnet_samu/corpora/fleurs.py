"""FLEURS: X to English, retrieval among all languages, and the distillation.

The same sentences of FLoRes were read in 102 languages, each by one to a few speakers.
The translation of an utterance is the English sentence of the same number. Reads the
parquet files of the hub, or the original tsv and wav files, and writes Kaldi data
directories: ``<split>.<tag>`` (all languages into English), ``nway.<tag>`` (the test
split of all languages, English among them, for retrieval), and those of the
distillation. What is there already, made of the same files, is left alone.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from espnet_samu.corpora.audio import AudioFault
from espnet_samu.corpora.audio_store import Recording
from espnet_samu.corpora.counts import WHOLE, Counts
from espnet_samu.corpora.data_dir import (
    TRANSCRIPTS,
    DataDir,
    text_file,
    write_data_dir,
)
from espnet_samu.corpora.fleurs_reader import (
    ENGLISH,
    SPLITS,
    Language,
    Row,
    choose,
    fetch,
    find_languages,
)
from espnet_samu.corpora.held_out import SENTENCE_OF_TEST, HeldOut, sentence_key
from espnet_samu.corpora.marker import Marker
from espnet_samu.corpora.utterance import Utterance, safe_ids
from espnet_samu.utils.atomic import atomic_write
from espnet_samu.utils.safe_reading import hash_file

DUPLICATE = "duplicate recording"
EMPTY = "empty transcript"
NO_ENGLISH = "no English sentence"
_GENDERS = ("female", "male", "other")
_COLUMNS = ("recordings", "sentences", "of a sentence with several", *_GENDERS)
"""Of ``languages.tsv``, behind language and split."""


def drop(
    counts: Counts, name: str, split: str, row: Row, reason: str, detail: str = ""
) -> None:
    """Note a row that a set leaves out."""
    counts.drop(name, split, row.name, reason, row.file, row.line, detail)


class Corpus:
    """Tables and recordings of languages.

    Args:
        languages: English first.
        splits: Those that are made.
        clips: Folder of the converted recordings.
        mode: See :class:`AudioStore`.
        jobs: Threads.
    """

    def __init__(
        self,
        languages: Sequence[Language],
        splits: Sequence[str],
        clips: Path,
        mode: str = "convert",
        jobs: int = 1,
    ) -> None:
        self.languages = languages
        self.splits = splits
        self.clips = clips
        self.mode = mode
        self.jobs = jobs
        self.counts = Counts()
        self.english: dict[str, str] = {}
        """English sentence by number."""
        self.rows: dict[tuple[str, str], list[Row]] = {}
        """By language and split: what is listed and can be used but for its audio."""
        self.held_out = {split: HeldOut() for split in ("train", "dev")}
        """What the distillation must not have, in training and in development."""
        self.numbers: dict[str, set[str]] = {"train": set(), "dev": set()}
        """The same by numbers of sentences."""
        self.sounds: dict[tuple[str, str], dict[str, Recording]] = {}
        """By language and split: recordings that can be used, by file name."""
        self.others = [split for split in SPLITS if self._has_english(split)]
        """Splits that are not made, but whose English sentences are there."""

    def _has_english(self, split: str) -> bool:
        """Return whether a split that is not made has English sentences."""
        try:
            return split not in self.splits and bool(self.languages[0].files(split))
        except ValueError as error:
            logging.info(f"without the English sentences of {split}: {error}")
            return False

    def inputs(self) -> list[Path]:
        """Return what is read."""
        english = self.languages[0]
        inputs = [path for split in self.others for path in english.files(split)]
        for language in self.languages:
            for split in self.splits:
                inputs += language.inputs(split)
        return inputs

    def read(self) -> None:
        """Read all tables.

        Raises:
            ValueError: One is missing, damaged or of another kind.
        """
        different = 0
        for split in (*self.splits, *self.others):
            for row in self.languages[0].rows(split, Counts()):
                known = self.english.get(row.sentence) or row.text
                self.english[row.sentence] = known
                different += row.text not in ("", known)
        if different:
            self.counts.notes.append(
                f"{different} English rows have another text than an earlier row of "
                "the same sentence, which is taken"
            )
        for language in self.languages:
            for split in self.splits:
                self.rows[language.code, split] = self._usable(language, split)

    def _usable(self, language: Language, split: str) -> list[Row]:
        """Return the rows of a split that have a text, each recording once."""
        code, counts = language.code, self.counts
        usable: dict[str, Row] = {}
        row_counts = counts.of(code, split)
        for row in language.rows(split, counts):
            row_counts.listed += 1
            for part, before in (("train", ("dev", "test")), ("dev", ("test",))):
                if split in before:
                    self.numbers[part].add(row.sentence)
                    self.held_out[part].add([row.text])
            if row.key in usable:
                drop(counts, code, split, row, DUPLICATE)
            elif not row.text:
                drop(counts, code, split, row, EMPTY)
            else:
                usable[row.key] = row
        return [*usable.values()]

    def look(self) -> None:
        """Decode and check the recordings."""
        for language in self.languages:
            for split in self.splits:
                code, rows = language.code, self.rows[language.code, split]
                folder = self.clips / code / split
                found = language.sounds(split, rows, folder, self.mode, self.jobs)
                sounds, row_counts = {}, self.counts.of(code, split)
                for row in rows:
                    sound = found[row.name]
                    if isinstance(sound, AudioFault):
                        drop(self.counts, code, split, row, sound.reason, sound.detail)
                    else:
                        sounds[row.name] = sound
                seconds = [sound.seconds for sound in sounds.values()]
                if None not in seconds:
                    row_counts.seconds = sum(filter(None, seconds))
                self.sounds[code, split] = sounds

    def recorded(
        self, split: str, languages: Iterable[Language]
    ) -> Iterable[tuple[Language, Row]]:
        """Yield the rows whose recording can be used."""
        for language in languages:
            sounds = self.sounds[language.code, split]
            for row in self.rows[language.code, split]:
                if row.name in sounds:
                    yield language, row


class Sets:
    """Utterances of the sets.

    Args:
        corpus: Where they come from.
        tag: Names the translations' files.
    """

    def __init__(self, corpus: Corpus, tag: str) -> None:
        self.corpus = corpus
        self.counts = corpus.counts
        self.tag = tag

    def translated(
        self, name: str, split: str, languages: Iterable[Language], part: str = WHOLE
    ) -> DataDir:
        """Return utterances with their English sentence.

        Args:
            name: Of the set, for the counts.
            split: Where they come from.
            languages: Those of them.
            part: Split of the set, for the counts.
        """
        data = DataDir([text_file(TRANSCRIPTS)], [text_file(self.tag)])
        for language, row in self.corpus.recorded(split, languages):
            self.counts.of(name, part).listed += 1
            english = self.corpus.english.get(row.sentence)
            if english:
                data.add(self._utterance(language.code, split, row, english))
            else:
                drop(self.counts, name, part, row, NO_ENGLISH)
        return data

    def transcribed(self, name: str, split: str) -> DataDir:
        """Return utterances for the distillation.

        Args:
            name: Of the set, for the counts.
            split: train or dev.
        """
        data = DataDir([text_file(TRANSCRIPTS)])
        held_out = self.corpus.held_out[split]
        numbers = self.corpus.numbers[split]
        for language, row in self.corpus.recorded(split, self.corpus.languages):
            self.counts.of(name).listed += 1
            key = sentence_key(row.text)
            if row.sentence in numbers or key in held_out.sentences:
                drop(self.counts, name, WHOLE, row, SENTENCE_OF_TEST)
            else:
                data.add(self._utterance(language.code, split, row))
        return data

    def _utterance(
        self, code: str, split: str, row: Row, english: str = ""
    ) -> Utterance:
        """Return a row as an utterance, which is its own speaker."""
        utt, speaker = safe_ids(f"{code}-{row.sentence}-{row.key}")
        return Utterance(
            id=utt,
            speaker=speaker,
            audio=self.corpus.sounds[code, split][row.name].path,
            language=code,
            transcript=row.text,
            translation=english,
            target_language=ENGLISH if english else "",
            line=row.line,
        )


def save(corpus: Corpus, folder: Path) -> None:
    """Write counts, faults and what splits have in common."""
    lines, in_both = [], {}
    total: Counter[str] = Counter()
    for language in corpus.languages:
        by_split = {s: _describe(corpus, language, s) for s in corpus.splits}
        in_both[language.code] = _in_both(corpus, language)
        total.update(sum(by_split.values(), Counter()))
        for split, row in by_split.items():
            numbers = [str(row[column]) for column in _COLUMNS]
            lines.append("\t".join((language.code, split, *numbers)) + "\n")
    _note(corpus, total, in_both)
    with atomic_write(folder / "languages.tsv") as f:
        f.write("\t".join(("language", "split", *_COLUMNS)) + "\n")
        f.writelines(lines)
    corpus.counts.save(folder)


def _describe(corpus: Corpus, language: Language, split: str) -> Counter[str]:
    """Count recordings, sentences and genders of a language in a split."""
    rows = [row for _, row in corpus.recorded(split, [language])]
    times = Counter(row.sentence for row in rows)
    several = sum(number for number in times.values() if number > 1)
    genders = Counter(row.gender for row in rows)
    counts = (len(rows), len(times), several, *(genders[g] for g in _GENDERS))
    return Counter(dict(zip(_COLUMNS, counts)))


def _in_both(corpus: Corpus, language: Language) -> tuple[int, int]:
    """Return the sentences and the recordings that several splits have.

    Recordings are equal to the last sample, whatever their names.
    """
    sentences: Counter[str] = Counter()
    alike: dict[tuple[int | None, int], dict[str, list[str]]] = {}
    for split in corpus.splits:
        rows = [row for _, row in corpus.recorded(split, [language])]
        sentences.update({row.sentence for row in rows})
        for row in rows:
            sound = corpus.sounds[language.code, split][row.name]
            key = sound.samples, os.path.getsize(sound.path)
            alike.setdefault(key, {}).setdefault(split, []).append(sound.path)
    # Files of one length and size alone are read.
    contents = Counter(
        content
        for by_split in alike.values()
        if len(by_split) > 1
        for paths in by_split.values()
        for content in set(map(hash_file, paths))
    )
    return _repeated(sentences), _repeated(contents)


def _note(
    corpus: Corpus, total: Counter[str], in_both: Mapping[str, tuple[int, int]]
) -> None:
    """Note what recordings and splits have in common."""
    corpus.counts.details["recordings"] = dict(total)
    notes = corpus.counts.notes
    notes.append(
        f"{total[_COLUMNS[2]]} of {total['recordings']} recordings share their "
        "sentence with another one of the same language and split"
    )
    for what, place in (("sentences", 0), ("recordings", 1)):
        numbers = Counter({lang: pair[place] for lang, pair in in_both.items()})
        corpus.counts.details[f"{what} in several splits"] = dict(numbers)
        listed = ", ".join(f"{lang} {n}" for lang, n in numbers.most_common() if n)
        if len(corpus.splits) > 1:
            notes.append(f"{what} that several splits have: {listed or 'none'}")
    notes.append(
        "the corpus has no speaker ids: whether a speaker is in several splits is "
        "not known; languages.tsv has their genders"
    )


def _repeated(times: Counter) -> int:
    """Return how many are there more than once."""
    return sum(number > 1 for number in times.values())


def prepare(args: argparse.Namespace) -> None:
    """Write all sets, and print their counts.

    Raises:
        ValueError: The options do not fit, or the corpus is missing or malformed.
    """
    splits = ("test",) if args.test_only else SPLITS
    folder = fetch(args.fleurs, args.langs, splits)
    languages = choose(find_languages(folder), args.langs, folder)
    clips, tag = args.clips_dir, args.tag
    corpus = Corpus(languages, splits, clips, args.audio, args.nj)
    distillation = {"train": args.samu_train_set, "dev": args.samu_valid_set}
    names = [*(f"{split}.{tag}" for split in splits), f"nway.{tag}"]
    if not args.test_only:
        names += distillation.values()
    outputs = [args.output_dir / name for name in names]
    work = args.output_dir / "local" / tag
    options = {
        "languages": [language.code for language in languages],
        "sets": names,
        "audio": args.audio,
        "clips_dir": str(clips),
    }
    marker = Marker(work / "done.json", options, corpus.inputs())

    def make() -> None:
        corpus.read()
        corpus.look()
        maker, sets = Sets(corpus, tag), {}
        for split in splits:
            name = f"{split}.{tag}"
            sets[name] = maker.translated(tag, split, languages[1:], split)
        sets[f"nway.{tag}"] = maker.translated(f"nway.{tag}", "test", languages)
        for split in splits[1:]:
            name = distillation[split]
            sets[name] = maker.transcribed(name, split)
        save(corpus, work)
        for name, data in sets.items():
            if not data:
                raise ValueError(
                    f"{name} would be empty; {work / 'faults.tsv'} says what is left "
                    "out, and why"
                )
        for name, data in sets.items():
            write_data_dir(data, args.output_dir / name)
        for split in splits[1:]:
            corpus.held_out[split].check(args.output_dir / distillation[split])

    marker.make(outputs, make)
