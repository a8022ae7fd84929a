#!/usr/bin/env python3
"""Keep ESPnet's own recipes and scripts beside the installed package.

The wheel of ESPnet holds its Python code; recipes, templates and shell scripts come
with the source distribution only. `install` brings that of the very version which is
installed to tools/espnet (or links to a checkout, ESPNET_ROOT, whose Python code is not
used); `verify` proves that no file of it was altered since.
"""

import argparse
import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

# SHA-256 of espnet-<version>.tar.gz, of each version that this plug-in was run with.
SHA256 = {
    "202611": "eb5816c4d2e4a18eaa2afacc2f8cf74f93e5534dec0fdcee0b2c89b6f7ddd1fd",
}
# Folders that every recipe shares with TEMPLATE/asr1 by a link.
SHARED_FOLDERS = ("pyscripts", "scripts", "steps", "utils")

TOOLS = Path(__file__).resolve().parent


class Failure(Exception):
    """Something the user can mend; its text says how."""


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def check_sha256(sdist: Path, expected: str) -> None:
    """Raise Failure unless the file is the one that is expected."""
    if not sdist.is_file():
        raise Failure(f"{sdist} is missing; run: make -C {TOOLS} setup")
    found = file_sha256(sdist)
    if found != expected:
        raise Failure(f"{sdist} has sha256 {found}, not {expected}; remove it")


def expected_sha256(version: str) -> str:
    """Return the checksum of a version's source distribution."""
    if version not in SHA256:
        raise Failure(
            f"ESPnet {version} is installed; {Path(__file__).name} knows the sha256 "
            f"of {', '.join(SHA256)} only"
        )
    return SHA256[version]


def missing_links(tree: Path) -> Iterator[tuple[Path, str]]:
    """Yield (link, relative target) for the folder links that an sdist lacks.

    An sdist holds copies where the repository has links to files, and nothing where
    it has links to folders. Each recipe (a folder with a path.sh) has four of those.
    They lead to the template of its own task where that has such a folder of its
    own, else to TEMPLATE/asr1: what each template's setup.sh makes.
    """
    template = tree / "egs2" / "TEMPLATE"
    for path_sh in sorted(tree.glob("egs2/*/*/path.sh")):
        recipe = path_sh.parent
        for name in SHARED_FOLDERS:
            own = template / recipe.name / name
            if own.is_dir() and not own.is_symlink():
                if recipe.parent != template:
                    yield recipe / name, f"../../TEMPLATE/{recipe.name}/{name}"
                elif recipe.name != "asr1":
                    # There, such a folder is itself made of links.
                    for child in sorted((template / "asr1" / name).iterdir()):
                        if child.is_dir():
                            target = f"../../asr1/{name}/{child.name}"
                            yield own / child.name, target
            else:
                yield recipe / name, f"../../TEMPLATE/asr1/{name}"


def restore_links(tree: Path) -> int:
    """Make the folder links that are not there; return how many were made."""
    made = 0
    # A list: links that are made must not change what is still to be found.
    for link, target in list(missing_links(tree)):
        if not os.path.lexists(link):
            link.symlink_to(target)
            made += 1
    return made


def download(version: str, downloads: Path) -> Path:
    """Fetch a version's source distribution with the package index's client.

    Args:
        version: ESPnet's version.
        downloads: Folder that keeps it; a good copy there is used as it is.

    Returns:
        The file, its checksum verified.
    """
    sdist = downloads / f"espnet-{version}.tar.gz"
    expected = expected_sha256(version)
    if sdist.is_file() and file_sha256(sdist) == expected:
        return sdist
    downloads.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=downloads) as tmp:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--no-binary", "espnet", "--dest", tmp, f"espnet=={version}"]
        result = subprocess.run(command, capture_output=True, text=True)
        fetched = Path(tmp) / sdist.name
        if result.returncode != 0 or not fetched.is_file():
            raise Failure(f"{' '.join(command)} failed:\n{result.stderr[-2000:]}")
        check_sha256(fetched, expected)
        fetched.replace(sdist)
    return sdist


def unpack(sdist: Path, tree: Path) -> None:
    """Unpack a source distribution, links restored, in one step seen from outside."""
    work = tree.with_name(f"{tree.name}.tmp")
    old = tree.with_name(f"{tree.name}.old")
    for folder in (work, old):
        shutil.rmtree(folder, ignore_errors=True)
    with tarfile.open(sdist) as tar:
        tar.extractall(work, filter="data")
    (inner,) = work.iterdir()
    restore_links(inner)
    if tree.exists():
        tree.rename(old)
    inner.rename(tree)
    shutil.rmtree(work)
    shutil.rmtree(old, ignore_errors=True)


def tree_version(tree: Path) -> str:
    """Return the version that a tree of ESPnet says it is, "" if it is none."""
    version_file = tree / "version.txt"
    return version_file.read_text().strip() if version_file.is_file() else ""


def link_checkout(checkout: Path, tree: Path, version: str) -> str:
    """Use a checkout of ESPnet in place of the source distribution."""
    checkout = checkout.resolve()
    if not (checkout / "egs2/TEMPLATE/asr1/utils/parse_options.sh").is_file():
        raise Failure(f"ESPNET_ROOT={checkout} is no checkout of ESPnet")
    if tree.is_dir() and not tree.is_symlink() and tree.resolve() != checkout:
        raise Failure(f"{tree} is a folder; remove it to use ESPNET_ROOT={checkout}")
    if tree_version(checkout) != version:
        logging.warning(
            f"ESPNET_ROOT={checkout} is ESPnet {tree_version(checkout) or '?'}, "
            f"the installed package is {version}"
        )
    if tree.is_symlink() or not tree.exists():
        link = tree.with_name(f"{tree.name}.tmp")
        link.unlink(missing_ok=True)
        link.symlink_to(checkout)
        link.replace(tree)
    return (
        f"a link to {checkout} (its recipes and scripts; Python code is that of the "
        f"installed ESPnet {version})"
    )


def install(tree: Path, downloads: Path, version: str, checkout: str | None) -> str:
    """Bring ESPnet's tree of a version to its place, if it is not there.

    Args:
        tree: Where it goes.
        downloads: Folder that keeps the source distribution and the done-marker.
        version: ESPnet's version.
        checkout: Existing checkout to be used in its place.

    Returns:
        What was done, in a few words.
    """
    if checkout:
        return link_checkout(Path(checkout), tree, version)
    if tree.is_symlink() and tree.exists():
        return link_checkout(tree, tree, version)
    marker = downloads / "unpacked"
    ours = marker.is_file()
    if ours and tree.is_dir() and marker.read_text() == expected_sha256(version):
        made = restore_links(tree)
        return f"up to date, {made} links restored" if made else "up to date"
    if tree.is_dir() and not ours:
        raise Failure(f"{tree} was not made by setup; move it away, or ESPNET_ROOT=it")
    if tree.is_symlink():
        tree.unlink()
    sdist = download(version, downloads)
    # A tree that is found beside a marker was put there by us; whether it is the one of
    # this version is said last, since unpacking may be stopped.
    marker.write_text("unfinished\n")
    unpack(sdist, tree)
    marker.write_text(expected_sha256(version))
    return "unpacked"


def differences(tree: Path, sdist: Path) -> Iterator[str]:
    """Yield one line for each way in which a tree is not the unpacked sdist.

    Only the folder links that `install` restores, and Python's byte-code caches, may
    be there besides.
    """
    known = set()
    with tarfile.open(sdist, "r|gz") as tar:
        for member in tar:
            name = Path(*Path(member.name).parts[1:])
            if not member.isfile():
                continue
            known.add(name)
            path = tree / name
            if path.is_symlink() or not path.is_file():
                yield f"missing: {name}"
            elif path.read_bytes() != tar.extractfile(member).read():
                yield f"altered: {name}"
            elif (path.stat().st_mode ^ member.mode) & 0o100:
                yield f"executable bit altered: {name}"
    links = {link.relative_to(tree): target for link, target in missing_links(tree)}
    for folder, folders, files in os.walk(tree):
        folders[:] = [f for f in folders if f != "__pycache__"]
        for entry in folders + files:
            name = (Path(folder) / entry).relative_to(tree)
            if (tree / name).is_symlink():
                if os.readlink(tree / name) != links.get(name):
                    yield f"link not of setup's: {name}"
            elif entry in files and name not in known:
                yield f"not of the sdist: {name}"


def verify(tree: Path, sdist: Path, sha256: str) -> str:
    """Raise Failure unless a tree is the unpacked sdist, byte by byte.

    Args:
        tree: The unpacked tree.
        sdist: The source distribution.
        sha256: What its checksum has to be.

    Returns:
        What was found, in a few words.
    """
    if tree.is_symlink():
        return f"a link to {tree.resolve()}: a checkout is not compared"
    if not tree.is_dir():
        raise Failure(f"{tree} is missing; run: make -C {TOOLS} setup")
    check_sha256(sdist, sha256)
    found = list(differences(tree, sdist))
    if found:
        lines = "\n  ".join(found[:20])
        raise Failure(f"{tree}: {len(found)} differences from the sdist\n  {lines}")
    return "every file is that of the source distribution"


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=("install", "verify"))
    parser.add_argument("--tree", type=Path, default=TOOLS / "espnet")
    parser.add_argument("--downloads", type=Path, default=TOOLS / "downloads")
    parser.add_argument("--version", help="default: of the installed ESPnet")
    return parser


def main() -> int:
    """Run the command line; return the exit status."""
    logging.basicConfig(format="%(levelname)s: %(message)s")
    args = get_parser().parse_args()
    try:
        version = args.version or metadata.version("espnet")
        if args.action == "install":
            checkout = os.environ.get("ESPNET_ROOT")
            result = install(args.tree, args.downloads, version, checkout)
        else:
            sdist = args.downloads / f"espnet-{version}.tar.gz"
            result = verify(args.tree, sdist, expected_sha256(version))
    except metadata.PackageNotFoundError:
        logging.error(f"ESPnet is not installed; run: make -C {TOOLS} setup")
        return 1
    except Failure as e:
        logging.error(e)
        return 1
    print(f"espnet: tools/espnet {version}, {result}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
