#!/usr/bin/env python3
"""Put a recipe into an ESPnet checkout, ready for a pull request.

Copies what git tracks of egs2/<corpus>/samu_st1 and of egs2/TEMPLATE/samu_st1, links as
links; adds the corpus to egs2/README.md and to egs2/TEMPLATE/asr1/db.sh; and goes
through what can be checked of the list "Checklist before you submit a recipe PR" of
ESPnet's CONTRIBUTING.md. Nothing is written unless all of it holds.
"""

import argparse
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TASK = "samu_st1"
SHARED = ("db.sh", "path.sh", "pyscripts", "scripts", "st.sh", "steps", "utils")
DEFAULTS = ("cmd.sh", "conf/pbs.conf", "conf/queue.conf", "conf/slurm.conf")
LARGE = 2**20  # bytes
ABSOLUTE = re.compile(r"""(?:^|[\s"'=:])(/(?:data|export|home|mnt|root|work)\S*/\S*)""")
UPWARDS = re.compile(r"(?<![\w./])(?:\.\./)+[\w./-]*\w")
VARIABLE = re.compile(r"^\w+=\$\{([A-Z][A-Z0-9_]+):-\}", re.MULTILINE)


class Failure(Exception):
    """Something the user can mend; its text says how."""


def tracked(root: Path, *folders: str) -> list[Path]:
    """Return the files and links of folders that git tracks, relative to root."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--", *folders]
    listed = subprocess.run(command, check=True, capture_output=True, text=True)
    return [Path(name) for name in listed.stdout.split("\0") if name]


def differs(source: Path, target: Path) -> bool:
    """Return whether there is something else than the source at the target."""
    if source.is_symlink() or target.is_symlink():
        if source.is_symlink() and target.is_symlink():
            return source.readlink() != target.readlink()
        return target.is_symlink() or target.exists()
    return target.exists() and target.read_bytes() != source.read_bytes()


def check_checkout(checkout: Path) -> None:
    """Raise Failure unless the folder is a checkout of ESPnet."""
    for name in ("egs2/README.md", "egs2/TEMPLATE/asr1/db.sh", "egs2/TEMPLATE/st1"):
        if not (checkout / name).exists():
            raise Failure(f"{checkout} is no checkout of ESPnet: it has no {name}")


def check_recipe(
    root: Path, corpus: str, files: Sequence[Path], template: Path
) -> None:
    """Raise Failure with all that ESPnet's checklist finds fault with.

    Args:
        root: This project.
        corpus: Name of the recipe's folder below egs2.
        files: What is to be copied, relative to root.
        template: egs2/TEMPLATE of the checkout.
    """
    recipe = Path("egs2", corpus, TASK)
    faults = []
    for name in SHARED:
        link = root / recipe / name
        source = "st1" if name in ("path.sh", "st.sh") else "asr1"
        target = f"../../TEMPLATE/{source}/{name}"
        if not link.is_symlink() or str(link.readlink()) != target:
            faults.append(f"{recipe / name} must be a link to {target}")
        elif not (template / source / name).exists():
            faults.append(f"{template / source / name}: {recipe / name} leads there")
    for name in DEFAULTS:
        default, own = template / "st1" / name, root / recipe / name
        if own.is_file() and own.read_bytes() != default.read_bytes():
            faults.append(f"{recipe / name} is not the default, {default}")
    for name in ("README.md", "RESULTS.md", "run.sh", "local/data.sh", *DEFAULTS):
        if recipe / name not in files:
            faults.append(f"{recipe / name} is missing, or unknown to git")
    if not any(path.match(f"{recipe}/conf/train*.yaml") for path in files):
        faults.append(f"{recipe}/conf has no train*.yaml")
    for path in files:
        source = root / path
        if source.is_symlink():
            continue
        if not source.exists():
            faults.append(f"{path} is known to git, but gone")
        elif source.stat().st_size > LARGE:
            faults.append(f"{path} is larger than 1 MB")
        elif source.suffix in (".sh", ".py", ".yaml", ".conf"):
            for number, line in enumerate(source.read_text().splitlines(), 1):
                if found := ABSOLUTE.search(line):
                    faults.append(f"{path}:{number}: absolute path {found[1]}")
        elif source.suffix == ".md":
            faults += dead_paths(path, source.read_text(), files, template.parents[1])
    if faults:
        raise Failure("\n".join(["the recipe is not ready:", *faults]))


def dead_paths(
    path: Path, text: str, files: Sequence[Path], checkout: Path
) -> list[str]:
    """Return faults of a page: what it names here may not be there in ESPnet.

    Args:
        path: The page, relative to root.
        text: What it says.
        files: What is to be copied, relative to root.
        checkout: A clone of ESPnet.
    """
    faults = []
    for number, line in enumerate(text.splitlines(), 1):
        for name in UPWARDS.findall(line):
            named = Path(os.path.normpath(path.parent / name))
            copied = any(named == f or named in f.parents for f in files)
            if not copied and not (checkout / named).exists():
                faults.append(f"{path}:{number}: {name} is not there in ESPnet")
            elif re.search(rf"make -C {re.escape(name)}", line):
                faults.append(f"{path}:{number}: a target of this project: {line}")
    return faults


def with_row(readme: str, row: str) -> str:
    """Return egs2/README.md with a corpus' row, in alphabetical order.

    Args:
        readme: Text of the file.
        row: A row of its table; nothing is done if it has one of that folder and task.
    """
    cells = [cell.strip() for cell in row.strip().strip("|").split("|")]
    lines = readme.splitlines()
    rows = {}
    for number, line in enumerate(lines):
        if line.startswith("|") and not set(line) <= set("|- "):
            rows[number] = [cell.strip() for cell in line.strip("|").split("|")]
    if not rows:
        raise Failure("egs2/README.md of the checkout has no table")
    header, *listed = rows
    place = header + 2
    for number in listed:
        if rows[number][0] == cells[0] and cells[2] in rows[number][2].split("/"):
            return readme
        if rows[number][0].lower() <= cells[0].lower():
            place = number + 1
    lines.insert(place, row.strip())
    return "\n".join(lines) + "\n"


def with_variables(db: str, names: Sequence[str]) -> str:
    """Return db.sh with variables of corpora, in alphabetical order.

    Args:
        db: Text of the file.
        names: Those that it must have; their values are left empty.
    """
    lines = db.splitlines()
    for name in names:
        known = {
            match[1]: number
            for number, line in enumerate(lines)
            if (match := re.match(r"([A-Z][A-Z0-9_]*)=", line))
        }
        if name in known:
            continue
        before = [number for other, number in known.items() if other < name]
        lines.insert(max(before, default=len(lines) - 1) + 1, f"{name}=")
    return "\n".join(lines) + "\n"


def export(root: Path, corpus: str, checkout: Path) -> list[Path]:
    """Put a recipe into a checkout; return what was written, relative to it."""
    check_checkout(checkout)
    recipe = Path("egs2", corpus, TASK)
    files = tracked(root, str(recipe), f"egs2/TEMPLATE/{TASK}")
    if recipe / "run.sh" not in files:
        raise Failure(f"{recipe} is no recipe of this project that git tracks")
    check_recipe(root, corpus, files, checkout / "egs2/TEMPLATE")
    others = [path for path in files if differs(root / path, checkout / path)]
    if others:
        raise Failure(
            f"{checkout} has other versions of {', '.join(map(str, others))}; "
            "remove them first"
        )
    rows = [
        line
        for line in (root / "egs2/README.md").read_text().splitlines()
        if line.startswith(f"| {corpus} |")
    ]
    if len(rows) != 1:
        raise Failure(f"egs2/README.md must have one row of {corpus}")
    data_sh = (root / recipe / "local/data.sh").read_text()
    changes = {
        Path("egs2/README.md"): lambda text: with_row(text, rows[0]),
        Path("egs2/TEMPLATE/asr1/db.sh"): lambda text: with_variables(
            text, VARIABLE.findall(data_sh)
        ),
    }
    texts = {
        path: change((checkout / path).read_text()) for path, change in changes.items()
    }

    written = []
    for path in files:
        target = checkout / path
        if target.exists() or target.is_symlink():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / path, target, follow_symlinks=False)
        written.append(path)
    for path, text in texts.items():
        if text != (checkout / path).read_text():
            (checkout / path).write_text(text)
            written.append(path)
    return written


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", help="Folder of the recipe below egs2, as covost2")
    parser.add_argument("checkout", type=Path, help="Folder of a clone of ESPnet")
    args = parser.parse_args(cmd)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        written = export(ROOT, args.corpus, args.checkout)
    except Failure as e:
        logging.error(f"Error: {e}")
        sys.exit(1)
    if not written:
        logging.info("All of it is there already.")
        return
    logging.info("\n".join(str(path) for path in written))
    logging.info(
        f"{len(written)} files written. Before the pull request, in {args.checkout}: "
        f"install this package beside ESPnet (pip install --no-deps {ROOT}: it pins "
        "another ESPnet and torch, which would replace yours; pip check names what is "
        "missing), run the recipe, put its scores into RESULTS.md with a link to the "
        "model, and run pre-commit."
    )


if __name__ == "__main__":
    main()
