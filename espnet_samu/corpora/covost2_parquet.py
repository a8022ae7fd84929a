"""CoVoST-2 in parquet files, as the hub has it: read as Common Voice and CoVoST-2 are.

A folder for each direction (``fr_en``, ``zh-CN_en``, ``en_de``) has the shards of its
splits: transcripts, translations and recordings. The texts are written as the tables of
both corpora, from which sets are then made as from the corpora themselves; recordings
are decoded from the shards.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from espnet_samu.corpora.audio import AudioFault
from espnet_samu.corpora.audio_store import Recording
from espnet_samu.corpora.common_voice import Clips
from espnet_samu.corpora.covost2_directions import SCENARIOS, Direction
from espnet_samu.corpora.marker import Marker
from espnet_samu.corpora.parquet import (
    ShardStore,
    check_shards,
    column_names,
    find_root,
    find_shards,
    read_rows,
)
from espnet_samu.corpora.utterance import single_blanks
from espnet_samu.utils.atomic import atomic_write

DATASET = "fixie-ai/covost2"
"""Where the hub has it."""
SPLITS = {"train": "train", "validation": "dev", "test": "test"}
"""CoVoST-2's name of each split."""
PLACES = "clips.tsv"
"""Beside ``validated.tsv``: file name, shard and row of each clip."""
TABLES = "done.json"
"""What marks the folder of the tables as complete."""
_COLUMNS = ("client_id", "id", "file", "audio.path", "sentence", "translation")
_CLIP = re.compile(r"common_voice_([A-Za-z-]+)_\d+\.")
_ALL = SCENARIOS["multi"].test


def read_shards(
    folder: Path, directions: Iterable[Direction]
) -> dict[Direction, dict[str, list[Path]]]:
    """Return the shards of all directions that are there, by split.

    Args:
        folder: Of the dataset.
        directions: Those that must be there.

    Raises:
        ValueError: A direction is missing, or one of its shards is.
    """
    if not folder.is_dir():
        raise ValueError(
            f"--covost2_parquet: no folder '{folder}'; give the folder of the dataset, "
            f"or its hub id, such as {DATASET}"
        )
    root, needed = find_root(folder), set(directions)
    found = {}
    for direction in _ALL:
        name = f"{direction.source}_{direction.target}"
        if not (root / name).is_dir():
            if direction in needed:
                raise ValueError(
                    f"--covost2_parquet: no {name} in {root}; download it, or leave "
                    f"'{direction.name}' out (--langs)"
                )
            continue
        try:
            found[direction] = {s: find_shards(root / name, s) for s in SPLITS}
        except ValueError as error:
            if direction in needed:
                raise
            logging.warning(f"{name} is not used: {error}")
    return found


def write_tables(folder: Path, directions: Iterable[Direction], output: Path) -> None:
    """Write the texts as Common Voice and CoVoST-2 have them.

    Args:
        folder: Of the dataset.
        directions: Those that must be there; others are read, too, for their test
            sets are not trained on.
        output: Folder for ``<lang>/validated.tsv``, ``<lang>/clips.tsv`` and
            ``covost_v2.<source>_<target>.tsv``; left as it is if no shard has changed.

    Raises:
        ValueError: Shards are missing, cut, or of another dataset.
    """
    shards = read_shards(folder, directions)
    files = [path for splits in shards.values() for p in splits.values() for path in p]
    marker = _begin(output, files)
    if marker is None:
        return
    sources: dict[str, list[Direction]] = {}
    for direction in shards:
        sources.setdefault(direction.source, []).append(direction)
    for source, of_source in sources.items():
        with ExitStack() as stack:
            speech = _Speech(output / source, stack)
            for direction in of_source:
                header = ("path", "translation", "split", "client_id")
                translated = _table(output / direction.file, header, stack)
                for split, paths in shards[direction].items():
                    for path in paths:
                        for number, row in enumerate(read_rows(path, _COLUMNS)):
                            name = speech.add(path, number, *row[:-1])
                            text = _field(row[-1])
                            translated.write(f"{name}\t{text}\t{SPLITS[split]}\t\n")
            speech.log()
    marker.set([])


def has_speech(folder: Path) -> bool:
    """Return whether a folder has parquet files of languages: ``<lang>/*.parquet``."""
    return folder.is_dir() and any(find_root(folder).glob("*/*.parquet"))


def write_speech_tables(folder: Path, output: Path) -> None:
    """Write the texts of transcribed speech as Common Voice has them.

    Args:
        folder: Has ``<lang>/*.parquet``, with the columns ``audio`` and ``sentence``,
            and perhaps ``client_id``, ``id`` and ``file``.
        output: Folder for ``<lang>/validated.tsv`` and ``<lang>/clips.tsv``; left as it
            is if no shard has changed.

    Raises:
        ValueError: A shard is missing or cut, or has no such columns.
    """
    languages: dict[str, list[Path]] = {}
    for path in sorted(find_root(folder).glob("*/*.parquet")):
        languages.setdefault(path.parent.name, []).append(path)
    files = [path for paths in languages.values() for path in paths]
    check_shards(files)
    marker = _begin(output, files)
    if marker is None:
        return
    for lang, paths in languages.items():
        with ExitStack() as stack:
            speech = _Speech(output / lang, stack)
            for path in paths:
                there = {*column_names(path), "audio.path", "sentence"}
                columns = [name for name in _COLUMNS[:-1] if name in there]
                for number, values in enumerate(read_rows(path, columns)):
                    row = dict(zip(columns, values))
                    speech.add(path, number, *(row.get(n, "") for n in _COLUMNS[:-1]))
            speech.log()
    marker.set([])


def _begin(output: Path, files: Iterable[Path]) -> Marker | None:
    """Return what marks tables as done, after removing the old ones; None: they are."""
    marker = Marker(output / TABLES, {}, files)
    if marker.is_current([]):
        return None
    for path in marker.changed():
        logging.info(f"{path} has changed: tables are written again")
    shutil.rmtree(output, ignore_errors=True)
    return marker


def _table(path: Path, header: Sequence[str], stack: ExitStack) -> IO[str]:
    """Open a table, which is complete when the stack is left."""
    file = stack.enter_context(atomic_write(path))
    file.write("\t".join(header) + "\n")
    return file


class _Speech:
    """Tables of the clips of a language, of which several shards may have the same.

    Args:
        folder: Of the tables.
        stack: They are complete when it is left.
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.lang = folder.name
        header = ("client_id", "path", "sentence")
        self.validated = _table(folder / "validated.tsv", header, stack)
        self.places = _table(folder / PLACES, ("path", "shard", "row"), stack)
        self.seen: dict[str, int] = {}
        self.others = 0

    def add(
        self,
        shard: Path,
        number: int,
        client: str,
        clip: str,
        file: str,
        inside: str,
        sentence: str,
    ) -> str:
        """Add a row of a shard; return the file name of its clip.

        Raises:
            ValueError: By its name, the clip is of another language.
        """
        name = (file or inside).rpartition("/")[2]
        if clip:
            suffix = os.path.splitext(name)[1]
            name = clip + (suffix if len(suffix) > 1 else ".mp3")
        found = _CLIP.match(name)
        if found and found[1] != self.lang:
            raise ValueError(
                f"{shard}: row {number + 1} is a clip of '{found[1]}', {name}, not of "
                f"'{self.lang}': shards of two directions were mixed"
            )
        name, key = _field(name), hash(sentence)
        if name not in self.seen:
            fields = (_field(client), name, _field(sentence))
            self.validated.write("\t".join(fields) + "\n")
            self.places.write(f"{name}\t{shard}\t{number}\n")
            self.seen[name] = key
        self.others += self.seen[name] != key
        return name

    def log(self) -> None:
        """Log what was read."""
        if self.others:
            logging.warning(
                f"{self.lang}: {self.others} rows have another transcript than an "
                "earlier row of the same clip, which is taken"
            )
        logging.info(f"{self.lang}: {len(self.seen)} clips")


def _field(text: str) -> str:
    """Return a text as a field of CoVoST-2's tables, which escape by backslashes."""
    return single_blanks(text).replace("\\", "\\\\")


class ShardClips(Clips):
    """Clips of Common Voice that lie in shards.

    Args:
        output: Folder of the converted clips.
        jobs: Threads.
    """

    def __init__(self, output: Path, jobs: int = 1) -> None:
        super().__init__("convert", output, jobs)

    def _look_at(
        self, folder: Path, names: Iterable[str]
    ) -> Mapping[str, Recording | AudioFault]:
        names = set(names)
        places: dict[str, tuple[Path, int]] = {}
        shards: dict[str, Path] = {}
        with (folder / PLACES).open(encoding="utf-8", newline="\n") as file:
            next(file)
            for line in file:
                name, shard, row = line.rstrip("\n").split("\t")
                if name in names:
                    if shard not in shards:
                        shards[shard] = Path(shard)
                    places[name] = shards[shard], int(row)
        return ShardStore(self.output / folder.name, self.jobs, places).add(names)
