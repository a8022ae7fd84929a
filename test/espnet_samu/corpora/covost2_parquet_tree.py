#!/usr/bin/env python3
"""The small corpus of covost2_tree.py in parquet files, as the hub has CoVoST-2.

``python covost2_parquet_tree.py FOLDER`` writes ``FOLDER/parquet`` with all directions,
and what covost2_tree.py writes.
"""

import argparse
from itertools import batched
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from espnet_samu.corpora.common_voice import CommonVoice, TsvReader
from espnet_samu.corpora.covost2_directions import SCENARIOS
from espnet_samu.corpora.covost2_translations import find_translations

SCHEMA = pa.schema(
    [
        ("client_id", pa.string()),
        ("file", pa.string()),
        ("audio", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("sentence", pa.string()),
        ("translation", pa.string()),
        ("id", pa.string()),
    ]
)
SPLITS = {"train": "train", "train_covost": "train", "dev": "validation"}
SPLITS |= {"test": "test"}


def rows_of(common_voice, covost2, direction):
    """Return the rows of a direction, by split, as its authors' script joins them."""
    folder = common_voice.language(direction.source)
    said = {}
    for name, *fields in TsvReader(
        folder / "validated.tsv", ("path", "client_id", "sentence")
    ):
        said.setdefault(name, fields)
    tsv = find_translations(covost2, common_voice, direction)
    splits = {name: [] for name in ("train", "validation", "test")}
    for name, translation, label in TsvReader(tsv, ("path", "translation", "split")):
        if label in SPLITS and name in said:
            clip = folder / "clips" / name
            content = clip.read_bytes() if clip.exists() else None
            client, sentence = said[name]
            row = {
                "client_id": client,
                "file": f"/somewhere/{name}",
                "audio": {"bytes": content, "path": name},
                "sentence": sentence,
                "translation": translation or None,
                "id": name.removesuffix(".mp3"),
            }
            splits[SPLITS[label]].append(row)
    return splits


def write_shards(folder, split, rows, schema=SCHEMA, shards=1, group=2):
    """Write the shards of a split, with row groups of a few rows."""
    folder.mkdir(parents=True, exist_ok=True)
    size = -(-len(rows) // shards) or 1
    parts = [list(part) for part in batched(rows, size)] or [[]]
    for number, part in enumerate(parts):
        name = f"{split}-{number:05d}-of-{len(parts):05d}.parquet"
        table = pa.Table.from_pylist(part, schema)
        pq.write_table(table, folder / name, row_group_size=group)


def write_parquet(voice, covost2, folder):
    """Write all directions that a small corpus has."""
    common_voice = CommonVoice(voice)
    for direction in SCENARIOS["multi"].test:
        if find_translations(covost2, common_voice, direction) is not None:
            output = folder / f"{direction.source}_{direction.target}"
            splits = rows_of(common_voice, covost2, direction)
            for split, rows in splits.items():
                shards = 2 if split == "train" else 1
                write_shards(output, split, rows, shards=shards)
    return folder


def main():
    """Run from the command line."""
    from covost2_tree import add_directions, make_corpus, make_mp3

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="For parquet, cv and covost2")
    folder = parser.parse_args().folder
    voice, covost2 = make_corpus(folder, make_mp3())
    add_directions(voice, covost2)
    write_parquet(voice, covost2, folder / "parquet")


if __name__ == "__main__":
    main()
