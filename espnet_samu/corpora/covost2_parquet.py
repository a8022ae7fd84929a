"""CoVoST-2 in parquet files, as the hub has it: read as Common Voice and CoVoST-2 are.

A folder for each direction (``fr_en``, ``zh-CN_en``, ``en_de``) has the shards of its
splits: transcripts, translations and recordings. The texts are written as the tables of
both corpora, from which sets are then made as from the corpora themselves; recordings
are decoded from the shards.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from espnet_samu.corpora.audio import AudioFault
from espnet_samu.corpora.audio_store import Recording
from espnet_samu.corpora.common_voice import Clips
from espnet_samu.corpora.covost2_directions import SCENARIOS, Direction
from espnet_samu.corpora.data_dir import Marker
from espnet_samu.corpora.parquet import ShardStore, find_root, find_shards, read_rows
from espnet_samu.utils.atomic import atomic_write

DATASET = "fixie-ai/covost2"
"""Where the hub has it."""
SPLITS = {"train": "train", "validation": "dev", "test": "test"}
"""CoVoST-2's name of each split."""
PLACES = "clips.tsv"
"""Beside ``validated.tsv``: file name, shard and row of each clip."""
_COLUMNS = ("client_id", "id", "file", "audio.path", "sentence", "translation")
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


def write_tables(folder: Path, directions: Iterable[Direction], output: Path) -> Path:
    """Write the texts as Common Voice and CoVoST-2 have them.

    Args:
        folder: Of the dataset.
        directions: Those that must be there; others are read, too, for their test
            sets are not trained on.
        output: Folder for ``<lang>/validated.tsv``, ``<lang>/clips.tsv`` and
            ``covost_v2.<source>_<target>.tsv``; left as it is if no shard has changed.

    Returns:
        The folder.

    Raises:
        ValueError: Shards are missing, cut, or of another dataset.
    """
    shards = read_shards(folder, directions)
    files = [path for splits in shards.values() for p in splits.values() for path in p]
    marker = Marker(output / "done.json", {}, files)
    if marker.is_current([]):
        return output
    for path in marker.changed():
        logging.info(f"{path} has changed: tables are written again")
    marker.clear()
    sources: dict[str, dict[Direction, dict[str, list[Path]]]] = {}
    for direction, splits in shards.items():
        sources.setdefault(direction.source, {})[direction] = splits
    for source, of_source in sources.items():
        _write_source(output / source, of_source, output)
    marker.set([])
    return output


def _write_source(
    folder: Path,
    shards: Mapping[Direction, Mapping[str, Sequence[Path]]],
    output: Path,
) -> None:
    """Write the tables of a source language, whose clips several directions have."""
    seen: dict[str, int] = {}
    others = 0
    with ExitStack() as stack:

        def table(path: Path, *header: str) -> IO[str]:
            file = stack.enter_context(atomic_write(path))
            file.write("\t".join(header) + "\n")
            return file

        validated = table(folder / "validated.tsv", "client_id", "path", "sentence")
        places = table(folder / PLACES, "path", "shard", "row")
        for direction, splits in shards.items():
            translated = table(
                output / direction.file, "path", "translation", "split", "client_id"
            )
            for split, paths in splits.items():
                for path in paths:
                    for number, row in enumerate(read_rows(path, _COLUMNS)):
                        client, name, sentence, translation = _fields(*row)
                        key = hash(sentence)
                        if name not in seen:
                            validated.write(f"{client}\t{name}\t{sentence}\n")
                            places.write(f"{name}\t{path}\t{number}\n")
                            seen[name] = key
                        others += seen[name] != key
                        translated.write(f"{name}\t{translation}\t{SPLITS[split]}\t\n")
    if others:
        logging.warning(
            f"{folder.name}: {others} rows have another transcript than an earlier row "
            "of the same clip, which is taken"
        )
    logging.info(f"{folder.name}: {len(seen)} clips, {len(shards)} directions")


def _fields(
    client: str, clip: str, file: str, inside: str, sentence: str, translation: str
) -> tuple[str, str, str, str]:
    """Return what tables have of a row: client_id, path, sentence, translation."""
    name = (file or inside).rpartition("/")[2]
    if clip:
        name = clip + (Path(name).suffix or ".mp3")
    return _field(client), _field(name), _field(sentence), _field(translation)


def _field(text: str) -> str:
    """Return a text as a field of CoVoST-2's tables, which escape by backslashes."""
    return " ".join(text.split()).replace("\\", "\\\\")


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
                    places[name] = shards.setdefault(shard, Path(shard)), int(row)
        return ShardStore(self.output / folder.name, self.jobs, places).add(names)
