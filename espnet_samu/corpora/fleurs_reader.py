"""FLEURS as the hub has it (parquet) and as its authors do (tsv, wav): rows, sounds."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from espnet_samu.corpora.audio import AudioFault
from espnet_samu.corpora.audio_store import ClipStore, Recording
from espnet_samu.corpora.counts import Counts
from espnet_samu.corpora.data_dir import stem
from espnet_samu.corpora.parquet import (
    ShardStore,
    check_mode,
    find_root,
    find_shards,
    read_rows,
)
from espnet_samu.corpora.utterance import clean_text
from espnet_samu.utils.hub import download_dataset, is_path

DATASET = "google/fleurs"
"""Where the hub has it."""
ENGLISH = "en"
SPLITS = ("test", "dev", "train")
_SHARDS = {"test": "test", "dev": "validation", "train": "train"}
"""The hub's name of each split."""
_CODES = {"cmn_hans_cn": "zh-CN"}
"""Languages whose code is not the first part of the folder's name."""
_FOLDER = re.compile(r"[a-z]{2,3}(_[a-z0-9]+)+")
_BELOW = ("", "parquet-data", "data")
"""Where the folders of the languages may be."""
_COLUMNS = ("id", "path", "audio.path", "raw_transcription", "gender")
_GENDERS = {"0": "male", "1": "female", "2": "other"}
"""What the parquet files have for it."""
MALFORMED = "malformed line"


def language_code(folder: str) -> str:
    """Return our code of a language by its folder: ``fr_fr`` is fr, ``es_419`` es."""
    return _CODES.get(folder, folder.partition("_")[0])


class Row(NamedTuple):
    """A recording of a sentence."""

    sentence: str
    """Its number, equal in all languages."""
    name: str
    """File name of the recording."""
    text: str
    """Transcript as it is written: cased, with punctuation; may be empty."""
    gender: str
    """Of the speaker: female, male or other."""
    file: Path
    """What lists it: tsv file or shard."""
    line: int
    """Line of the file or row of the shard, from 1."""

    @property
    def key(self) -> str:
        """Name of the recording, without its format."""
        return stem(self.name)


class Language:
    """A language in parquet files: ``{train,validation,test}-*.parquet``.

    Args:
        folder: Of the language.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.code = language_code(folder.name)

    def files(self, split: str) -> list[Path]:
        """Return the files that list a split.

        Raises:
            ValueError: They are missing.
        """
        return find_shards(self.folder, _SHARDS[split])

    def inputs(self, split: str) -> list[Path]:
        """Return all that is read of a split: files, and folders of recordings."""
        return self.files(split)

    def rows(self, split: str, counts: Counts) -> Iterator[Row]:
        """Read a split.

        Args:
            split: train, dev or test.
            counts: Where lines are noted that cannot be used.

        Raises:
            ValueError: A file is missing, damaged or of another kind.
        """
        for path in self.files(split):
            for line, row in enumerate(self._fields(path), 1):
                if row is None or not (row[0].isdecimal() and row[1]):
                    what = f"line {line} of {split}"
                    counts.note(self.code, what, MALFORMED, path, line)
                    continue
                sentence, name, text, gender = row
                text = clean_text(" ".join(text.split()))
                number = str(int(sentence))
                yield Row(number, name, text, gender.lower(), path, line)

    def _fields(self, path: Path) -> Iterator[tuple[str, str, str, str] | None]:
        """Read sentence, file name, transcript and gender of lines; None: faulty."""
        for sentence, file, inside, text, gender in read_rows(path, _COLUMNS):
            name = (inside or file).rpartition("/")[2]
            yield sentence, name, text, _GENDERS.get(gender, gender)

    def sounds(
        self, split: str, rows: Sequence[Row], output: Path, mode: str, jobs: int
    ) -> dict[str, Recording | AudioFault]:
        """Return what recordings are, by file name, after decoding the new ones.

        Args:
            split: train, dev or test.
            rows: Of the split, each recording once.
            output: Folder of the converted recordings.
            mode: See :class:`AudioStore`.
            jobs: Threads.

        Raises:
            ValueError: The mode needs files, or a file is damaged.
        """
        check_mode(self.folder, mode)
        places = {row.name: (row.file, row.line - 1) for row in rows}
        return ShardStore(output, jobs, places).add(places)


class TsvLanguage(Language):
    """The original layout: ``{train,dev,test}.tsv``, ``audio/{train,dev,test}/*.wav``.

    The tables have no header: sentence, file name, raw transcription, transcription,
    characters, samples, gender.
    """

    def files(self, split: str) -> list[Path]:
        """Return the table of a split.

        Raises:
            ValueError: It is missing.
        """
        path = self.folder / f"{split}.tsv"
        if not path.is_file():
            raise ValueError(f"{path} is missing; get it, or name another folder")
        return [path]

    def inputs(self, split: str) -> list[Path]:
        """Return table and folder of recordings of a split."""
        return [*self.files(split), self._wavs(split)]

    def _wavs(self, split: str) -> Path:
        """Return the folder of recordings."""
        folder = self.folder / "audio" / split
        if not folder.is_dir():
            raise ValueError(
                f"no folder '{folder}'; unpack {split}.tar.gz in {folder.parent}"
            )
        return folder

    def _fields(self, path: Path) -> Iterator[tuple[str, str, str, str] | None]:
        try:
            with path.open(encoding="utf-8-sig", newline="\n") as file:
                for line in file:
                    row = line.rstrip("\r\n").split("\t")
                    name = row[1] if len(row) == 7 else ""
                    if "/" in name or not name.strip("."):
                        yield None
                    else:
                        yield row[0], name, row[2], row[6]
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{path}: not UTF-8 ({error.reason}); get the file again"
            ) from None

    def sounds(
        self, split: str, rows: Sequence[Row], output: Path, mode: str, jobs: int
    ) -> dict[str, Recording | AudioFault]:
        """Return what recordings are, by file name, after decoding the new ones."""
        folder = os.path.abspath(self._wavs(split))
        names = {f"{folder}/{row.name}": row.name for row in rows}
        found = ClipStore(output, mode, jobs).add(names)
        return {names[path]: result for path, result in found.items()}


def fetch(name: str, langs: Sequence[str], splits: Iterable[str]) -> Path:
    """Return the folder of a dataset, from the hub if it is no folder.

    Args:
        name: Folder or hub id.
        langs: Languages beside English that are needed; none: all.
        splits: Those that are needed.

    Raises:
        ValueError: There is no such folder.
    """
    folder = Path(name)
    if folder.is_dir():
        return folder
    if is_path(name):
        raise ValueError(
            f"--fleurs: no folder '{folder}'; give the folder of the dataset, or its "
            f"hub id, {DATASET}"
        )
    of_code = {code: folder for folder, code in _CODES.items()}
    starts = [f"{of_code.get(lang, f'{lang}_*')}/" for lang in langs]
    starts = [*starts, "en_us/"] if starts else ["*/"]
    shards = [_SHARDS[split] for split in splits]
    return download_dataset(
        name,
        [
            f"{below}{start}{shard}{end}"
            for below in ("", "*/")
            for start in starts
            for shard in shards
            for end in ("-*.parquet", "/*.parquet")
        ],
    )


def find_languages(folder: Path) -> dict[str, Language]:
    """Return the languages that are there, by code.

    Args:
        folder: Of the dataset: language folders in it, or in ``parquet-data`` or
            ``data``.

    Raises:
        ValueError: There is none, or two folders of one language.
    """
    root = find_root(folder)
    for below in _BELOW:
        found: dict[str, Language] = {}
        for place in sorted((root / below).glob("*_*/")):
            language = _language(place)
            if language is None:
                continue
            if other := found.get(language.code):
                raise ValueError(
                    f"{other.folder} and {place} are both '{language.code}'; leave one"
                )
            found[language.code] = language
        if found:
            return found
    raise ValueError(
        f"--fleurs: no language in {root}: neither fr_fr/test-*.parquet nor "
        "fr_fr/test.tsv or the like; is this the right dataset?"
    )


def _language(folder: Path) -> Language | None:
    """Return the language of a folder in the layout that it has; None: no language."""
    if not _FOLDER.fullmatch(folder.name):
        return None
    if any(folder.glob("*.parquet")) or any(folder.glob("*/*.parquet")):
        return Language(folder)
    tables = (folder / f"{split}.tsv" for split in SPLITS)
    return TsvLanguage(folder) if any(path.is_file() for path in tables) else None


def choose(
    found: Mapping[str, Language], langs: Sequence[str], folder: Path
) -> list[Language]:
    """Return the languages that are used, English first.

    Args:
        found: Languages that are there.
        langs: Codes of those that are wanted beside English; none: all.
        folder: Where they were looked for.

    Raises:
        ValueError: One is not there, or there is no other than English.
    """
    wanted = [ENGLISH, *sorted({*(langs or found)} - {ENGLISH})]
    if absent := [code for code in wanted if code not in found]:
        why = "whose sentences are the translations; " if ENGLISH in absent else ""
        raise ValueError(
            f"--fleurs: no {' '.join(absent)} in {folder}: {why}there are "
            f"{' '.join(sorted(found))}"
        )
    if len(wanted) == 1:
        raise ValueError(f"--fleurs: {folder} has no language beside English")
    return [found[code] for code in wanted]
