#!/usr/bin/env python3
"""Print what a table, a model or a data set of a recipe came from, as a tree."""

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from espnet_samu.utils.command import run
from espnet_samu.utils.provenance import RECORD, read_record

_OTHER_RECORDS = ("embed.json", "trim.json", "teacher.json")
"""Records of products that had one of their own before there was RECORD."""
_SHORT = 12  # characters of a sum
_LONG = 100  # characters of a value that are printed


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description="Print what a product of samu_st.sh came from, as a tree: inputs "
        "with their sums, options, versions and commands. Run it in the recipe's folder"
    )
    parser.add_argument(
        "folder", type=Path, help="E.g. exp/st_.../decode_..., or a file in it"
    )
    return parser


def records(path: Path) -> list[Path]:
    """Return the folders whose records say what a path came from.

    Raises:
        ValueError: There is none.
    """
    if not path.exists():
        raise ValueError(f"{path}: there is no such file or folder")
    if path.is_dir():
        # The tables of a model, which rest on it.
        tables = sorted(p.parent for p in path.glob(f"*/{RECORD}"))
        if tables and (path / "RESULTS.md").exists():
            return tables
    absolute = path.absolute()
    places = [absolute, *absolute.parents]
    for folder in places:
        if folder.name == "score_st":  # tables rest on all translations of a decoding
            places = [*folder.parents][1:]
            break
    for folder in places:
        if read_record(folder) is not None:
            return [Path(os.path.relpath(folder))]
    raise ValueError(f"{path}: neither it nor a folder above it has a {RECORD}")


class Tree:
    """Lines of a tree of products; each product is described once.

    Args:
        start: Product to begin with. Names in records are relative to the folder of
            the recipe, which is looked for above it.
    """

    def __init__(self, start: Path) -> None:
        self.bases = [Path(), *start.resolve().parents]
        self.known: set[Path] = set()

    def _find(self, name: str) -> Path | None:
        """Return a file or folder that a record names."""
        return next((b / name for b in self.bases if (b / name).exists()), None)

    def lines(self, folder: Path, level: int = 0) -> Iterator[str]:
        """Yield the lines of a product and of what it came from."""
        indent = "    " * level
        if folder.resolve() in self.known:
            yield f"{indent}{folder}: see above"
            return
        self.known.add(folder.resolve())
        yield f"{indent}{folder}"
        record = read_record(folder)
        if record is None:
            yield from self._described(folder, indent)
            return
        yield f"{indent}  command: {record['command']}"
        versions = (f"{name} {value}" for name, value in record["versions"].items())
        yield f"{indent}  versions: {', '.join(versions)}"
        for name, value in record["options"].items():
            yield f"{indent}  {name}: {_shorten(value)}"
        below: dict[Path, None] = {}
        for role, item in record["inputs"].items():
            total = (item["sum"] or "not known")[:_SHORT]
            yield f"{indent}  <- {role}: {item['name']} [{total}]"
            path = self._find(item["name"])
            for place in (path, path.parent) if path is not None else ():
                if any((place / name).is_file() for name in (RECORD, *_OTHER_RECORDS)):
                    below[place] = None
                    break
        for place in below:
            yield from self.lines(place, level + 1)

    def _described(self, folder: Path, indent: str) -> Iterator[str]:
        """Yield the lines of a product that has a record of its own form."""
        for name in _OTHER_RECORDS:
            if (folder / name).is_file():
                table = json.loads((folder / name).read_text(encoding="utf-8"))
                for key, value in _leaves(table):
                    yield f"{indent}  {key}: {_shorten(value)}"
                return


def _leaves(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the entries of embed.json and the like that say what it was made from."""
    for key in (
        "teachers combine normalized dtype versions text text_sha256 model revision "
        "texts bitext_sha256 updates batch_size lr seed"
    ).split():
        if table.get(key) is not None:
            yield key, table[key]


def _shorten(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONG else f"{text[:_LONG]}..."


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    tree = Tree(args.folder)
    for folder in records(args.folder):
        for line in tree.lines(folder):
            print(line)


if __name__ == "__main__":
    run(main)
