#!/usr/bin/env python3
"""Make a recipe for a corpus of one's own in a clone of ESPnet.

Needs nothing but Python: setup.sh of the template calls it before anything is set up.
"""

import argparse
import filecmp
import logging
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import espnet_samu

# The files of egs2/TEMPLATE/samu_st1: in a wheel, and in the repository.
_PACKAGE = Path(espnet_samu.__file__).resolve().parent
_PLACES = (_PACKAGE / "template", _PACKAGE.parent / "egs2/TEMPLATE/samu_st1")
# In the recipe's folder, below egs2/TEMPLATE.
COPIES = ("samu_st1/run.sh", "samu_st1/conf", "samu_st1/local", "st1/cmd.sh")
CLUSTER_COPIES = ("pbs.conf", "queue.conf", "slurm.conf")
LINKS = (
    "samu_st1/samu_st.sh",
    "st1/st.sh",
    "st1/path.sh",
    "asr1/db.sh",
    "asr1/scripts",
    "asr1/pyscripts",
    "asr1/utils",
    "asr1/steps",
)


class RecipeError(Exception):
    """Obstacle to making a recipe, with what mends it."""


def find_template() -> Path:
    """Return the folder with the files of ``egs2/TEMPLATE/samu_st1``.

    Raises:
        RecipeError: They were not installed.
    """
    for folder in _PLACES:
        if (folder / "samu_st.sh").is_file():
            return folder
    raise RecipeError(f"{_PLACES[0]} is missing: install espnet_samu again")


def different_files(installed: Path, present: Path) -> Iterator[str]:
    """Yield the names of the template's files that differ in a clone.

    Args:
        installed: The package's template.
        present: The clone's ``egs2/TEMPLATE/samu_st1``.
    """
    for path in sorted(installed.rglob("*")):
        name = path.relative_to(installed)
        if not path.is_file() or "__pycache__" in name.parts:
            continue
        if not (present / name).is_file() or not filecmp.cmp(
            path, present / name, shallow=False
        ):
            yield str(name)


def new_recipe(folder: Path) -> list[Path]:
    """Make a recipe, and ``egs2/TEMPLATE/samu_st1`` where the clone has none.

    Args:
        folder: The recipe's folder, two levels below egs2.

    Returns:
        What was made.

    Raises:
        RecipeError: The folder is at a wrong place or holds a recipe, or ESPnet's own
            templates are missing. Nothing was made.
    """
    egs = folder.resolve().parent.parent
    template = egs / "TEMPLATE"
    if not template.is_dir():
        raise RecipeError(
            f"{template} should exist: <target-dir> is two levels below egs2 of a "
            "clone of ESPnet, e.g. egs2/my_corpus/samu_st1"
        )
    installed = find_template()
    ours = template / "samu_st1"
    for name in (*LINKS, "st1/cmd.sh"):
        if not (template / name).exists() and (template / name).parent != ours:
            raise RecipeError(
                f"{template / name} leads nowhere: ESPnet is not there. In the "
                f"repository of espnet_samu, run: make -C {egs.parent}/tools setup"
            )
    for name in (*COPIES, *LINKS):
        path = folder / Path(name).name
        if path.exists() or path.is_symlink():
            raise RecipeError(f"{folder} already holds a recipe: it has {path.name}")
    made = []
    if not ours.exists():
        shutil.copytree(
            installed, ours, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
        )
        made.append(ours)
    elif others := list(different_files(installed, ours)):
        logging.warning(
            f"{ours} is taken as it is; {len(others)} of its files are not those of "
            f"espnet_samu {espnet_samu.__version__}, such as {others[0]}. To have "
            "them replaced, move it away"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name in COPIES:
        source, target = template / name, folder / Path(name).name
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy2(source, target)
        made.append(target)
    for name in CLUSTER_COPIES:
        made.append(Path(shutil.copy2(template / "st1/conf" / name, folder / "conf")))
    for name in LINKS:
        made.append(folder / Path(name).name)
        made[-1].symlink_to(f"../../TEMPLATE/{name}")
    return made


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description="Make a recipe for a corpus of your own in a clone of ESPnet: "
        "links to ESPnet's scripts and to samu_st.sh, copies of run.sh, cmd.sh, conf "
        "and local. egs2/TEMPLATE/samu_st1 is brought to the clone if it has none.",
    )
    parser.add_argument(
        "folder",
        metavar="target-dir",
        type=Path,
        help="Two levels below egs2, e.g. egs2/my_corpus/samu_st1",
    )
    return parser


def main(cmd: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status.

    Args:
        cmd: Arguments; those of the process by default.
    """
    logging.basicConfig(format="%(levelname)s: %(message)s")
    folder = get_parser().parse_args(cmd).folder
    try:
        made = new_recipe(folder)
    except (RecipeError, OSError) as e:
        logging.error(e)
        return 1
    print("Created:", *made)
    print(
        f"Next: cd {folder}; ./run.sh --local_data_opts "
        '"--manifest train.tsv --valid_manifest dev.tsv --test_manifests test.tsv"'
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
