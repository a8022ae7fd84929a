"""Common Voice: its folders, tables, transcripts and clips."""

from __future__ import annotations

import csv
import hashlib
import io
import logging
import os
import re
import sys
import tarfile
from collections.abc import (
    Callable,
    Container,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TextIO

from espnet_samu.corpora.audio import AudioFault
from espnet_samu.corpora.audio_store import ClipStore, Recording
from espnet_samu.corpora.counts import Counts
from espnet_samu.corpora.data_dir import stem
from espnet_samu.corpora.utterance import clean_text, csv_unquote, single_blanks

COMMONVOICE = (
    "--commonvoice, or as COMMONVOICE in the environment or db.sh; it must be release "
    "4 (cv-corpus-4-2019-12-10)"
)


class CommonVoice:
    """Language folders of a Common Voice release.

    Args:
        folder: Holds ``<lang>/validated.tsv`` and ``<lang>/clips/``, itself or in one
            folder of the release's name (``cv-corpus-4-2019-12-10``).
        setting: What it is named by, for messages.

    Raises:
        ValueError: There is no such folder.
    """

    def __init__(self, folder: Path, setting: str = COMMONVOICE) -> None:
        if not folder.is_dir():
            raise ValueError(
                f"Common Voice: no folder '{folder}'; name the one with <lang>/"
                f"validated.tsv and <lang>/clips/ by {setting}"
            )
        self.folder = folder
        self.setting = setting

    def find(self, lang: str) -> Path | None:
        """Return the folder of a language, or None.

        Raises:
            ValueError: There are several.
        """
        places = [self.folder, *sorted(self.folder.glob("cv-corpus-*"))]
        found = [p / lang for p in places if (p / lang / "validated.tsv").is_file()]
        if len(found) > 1:
            listed = " and ".join(map(str, found))
            raise ValueError(
                f"Common Voice: '{lang}' is in {listed}; give the folder of one "
                f"release by {self.setting}"
            )
        return found[0] if found else None

    def language(self, lang: str) -> Path:
        """Return the folder of a language.

        Raises:
            ValueError: It is not there.
        """
        found = self.find(lang)
        if found is None:
            raise ValueError(
                f"Common Voice: no {self.folder}/{lang}/validated.tsv; unpack "
                f"'{lang}' of release 4 there, leave it out (--langs), or name another "
                f"folder by {self.setting}"
            )
        return found


ARCHIVE = ".tar.gz"


class TsvReader:
    r"""Rows of a TSV file: tabs, no quoting, backslash escapes, words like "NA" kept.

    The same rows as ``pandas.read_csv(sep="\t", quoting=csv.QUOTE_NONE,
    escapechar="\\", na_filter=False)``, with which CoVoST-2's authors read both tables.
    Blanks of any kind (tabs that were escaped, line ends, U+2028) become single spaces:
    Kaldi's files have one line an utterance.

    Args:
        path: The file, or an archive ``<file>.tar.gz`` that holds it.
        columns: Names of the columns to return.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self.columns = columns
        self.line = 1
        """Number of the line that was read last; the header is line 1."""
        self.malformed: list[int] = []
        """Numbers of the lines that were left out: too many fields or too few."""

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        """Read the file.

        Yields:
            The fields of ``columns``, in that order.

        Raises:
            ValueError: It cannot be read, or misses a column; names file and line.
        """
        self.line, self.malformed = 1, []
        try:
            with open_tsv(self.path) as stream:
                rows = self.rows(stream)
                header = next(rows, [])
                places = [self.place(header, name) for name in self.columns]
                last = max(places)
                for row in rows:
                    if last < len(row) <= len(header):
                        yield tuple([single_blanks(row[place]) for place in places])
                    elif row:
                        self.malformed.append(self.line)
        except UnicodeDecodeError as e:
            raise ValueError(
                f"{self.path}: not UTF-8 after line {self.line} ({e.reason}); "
                "get the file again"
            ) from None
        except (csv.Error, OSError, EOFError, tarfile.TarError) as e:
            raise ValueError(
                f"{self.path}:{self.line}: cannot be read ({e}); get the file again"
            ) from None

    def rows(self, stream: TextIO) -> Iterator[list[str]]:
        """Yield the fields of each row; ``line`` is the number of its last line."""
        number, longest = 0, csv.field_size_limit()
        for line in stream:
            if "\\" in line or len(line) > longest:
                rows = csv.reader(
                    chain([line], stream),
                    delimiter="\t",
                    quoting=csv.QUOTE_NONE,
                    escapechar="\\",
                )
                row = next(rows)  # of several lines, if their ends are escaped
                number += rows.line_num
            else:  # which is faster
                line = line.rstrip("\r\n")
                row = line.split("\t") if line else []
                number += 1
            self.line = number
            yield row

    def place(self, header: Sequence[str], name: str) -> int:
        """Return the place of a column."""
        if name not in header:
            raise ValueError(
                f"{self.path}:1: no column '{name}' among '{' '.join(header)}'; is "
                "this the right file?"
            )
        return header.index(name)


@contextmanager
def open_tsv(path: Path) -> Iterator[TextIO]:
    """Open a file, or the one of that name in its archive.

    Raises:
        ValueError: The archive has no such file.
    """
    if not path.name.endswith(ARCHIVE):
        with path.open(encoding="utf-8-sig", newline="") as stream:
            yield stream
        return
    name = path.name[: -len(ARCHIVE)]
    with tarfile.open(path) as archive:
        for member in archive:
            content = archive.extractfile(member)
            if Path(member.name).name == name and content is not None:
                yield io.TextIOWrapper(content, encoding="utf-8-sig", newline="")
                return
    raise ValueError(f"{path}: holds no {name}; get the archive again")


SPEAKER_DIGITS = 16
"""Hexadecimal digits of a speaker id. All are of one length, so that speakers sort as
their utterances do; Common Voice's own have 128."""
_HEX = re.compile(r"[0-9a-f]{16}")
# Anything else, or longer, could not be part of an utterance id.
_NAME = re.compile(r"(?!\.)[A-Za-z0-9_\w.-]+")
_LONGEST = 90  # bytes


class Clip(NamedTuple):
    """Speaker, sentence and line of a clip."""

    speaker: str
    """``SPEAKER_DIGITS`` digits."""
    sentence: str
    """Transcript as Common Voice has it: cased, with punctuation; may be empty."""
    line: int = 0
    """Line number in validated.tsv, from 1."""


@dataclass
class Validated:
    """validated.tsv of a language."""

    clips: dict[str, Clip] = field(default_factory=dict)
    """By file name, such as ``common_voice_fr_17299399.mp3``."""
    duplicates: list[tuple[str, int]] = field(default_factory=list)
    """File name and line number of further lines of a clip, which are not used."""
    malformed: list[int] = field(default_factory=list)
    """Numbers of lines that cannot be used."""
    unquoted: list[str] = field(default_factory=list)
    """File names of clips from whose transcripts CSV quotes were removed."""

    def note(self, counts: Counts, lang: str, folder: Path) -> None:
        """Note what is wrong with the file.

        Args:
            counts: Of the corpus.
            lang: The language.
            folder: Common Voice's folder of the language.
        """
        file = folder / "validated.tsv"
        for name, line in self.duplicates:
            counts.note(lang, name, "duplicate in validated.tsv", file, line)
        for line in self.malformed:
            reason = "malformed line of validated.tsv"
            counts.note(lang, f"line {line}", reason, file, line)
        if self.unquoted:
            example = f"such as that of {self.unquoted[0]}"
            what = f"of {len(self.clips)} transcripts, {example}"
            counts.note_quotes(lang, len(self.unquoted), what)


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


def read_validated(folder: Path, keep_quotes: bool = False) -> Validated:
    """Read validated.tsv of a language.

    Common Voice's sentences went through a CSV writer and were never parsed again:
    ``"A ""chanson"" is a song."`` is ``A "chanson" is a song.``

    Args:
        folder: Common Voice's folder of the language.
        keep_quotes: Leave the quotes of CSV writers in the transcripts, as CoVoST-2's
            authors do.

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
            result.duplicates.append((name, reader.line))
        else:
            plain = sentence if keep_quotes else csv_unquote(sentence)
            if plain != sentence:
                result.unquoted.append(name)
            speaker = sys.intern(speaker_id(client, name))
            clips[name] = Clip(speaker, clean_text(plain), reader.line)
    result.malformed = sorted(result.malformed + reader.malformed)
    return result


def read_sentences(folder: Path, names: Container[str]) -> dict[str, str]:
    """Read the transcripts of some clips, as :func:`read_validated` has them.

    Args:
        folder: Common Voice's folder of the language.
        names: File names of clips.

    Returns:
        Transcripts by file name, of the clips that are there.

    Raises:
        ValueError: See :class:`TsvReader`.
    """
    result: dict[str, str] = {}
    for name, sentence in TsvReader(folder / "validated.tsv", ("path", "sentence")):
        if name in names and name not in result:
            result[name] = clean_text(csv_unquote(sentence))
    return result


def utterance_id(clip: Clip, lang: str, name: str, suffix: str = "") -> str:
    """Return ``<speaker>-<lang>-<clip><suffix>``."""
    return f"{clip.speaker}-{lang}-{stem(name)}{suffix}"


class Clips:
    """Sound files of Common Voice.

    Args:
        mode: See :class:`AudioStore`.
        output: Folder of the converted clips.
        jobs: Threads.
    """

    def __init__(self, mode: str, output: Path, jobs: int = 1) -> None:
        self.mode = mode
        self.output = output
        self.jobs = jobs
        # By folder: the distillation takes clips that a scenario has, too.
        self._known: dict[Path, dict[str, str | None]] = {}

    def paths(self, folder: Path) -> Callable[[str], str]:
        """Return a function that gives the path of a clip in wav.scp by its file name.

        Args:
            folder: Common Voice's folder of the language.
        """
        # Called for every utterance of every set: no Path objects inside.
        if self.mode == "stat":
            return self._sources(folder)
        start = f"{self.output}/{folder.name}/"
        return lambda name: f"{start}{stem(name)}.flac"

    @staticmethod
    def _sources(folder: Path) -> Callable[[str], str]:
        start = f"{os.path.abspath(folder / 'clips')}/"
        return lambda name: start + name

    def faults(self, folder: Path, names: Iterable[str]) -> dict[str, str]:
        """Find the clips that cannot be used.

        Args:
            folder: Common Voice's folder of the language.
            names: File names of clips.

        Returns:
            Why, by file name.
        """
        names = list(names)
        known = self._known.setdefault(folder, {})
        new = [name for name in dict.fromkeys(names) if name not in known]
        if new:
            logging.info(f"{folder}: {len(new)} clips ({self.mode})")
            for name, result in self._look_at(folder, new).items():
                known[name] = result.reason if isinstance(result, AudioFault) else None
        return {name: fault for name in names if (fault := known[name]) is not None}

    def _look_at(
        self, folder: Path, names: Iterable[str]
    ) -> Mapping[str, Recording | AudioFault]:
        """Return what clips are, by name, after decoding the new ones."""
        store = ClipStore(self.output / folder.name, self.mode, self.jobs)
        names = list(names)
        paths = list(map(self._sources(folder), names))
        found = store.add(paths)
        return dict(zip(names, map(found.__getitem__, paths)))
