#!/usr/bin/env python3
"""Put a recipe into an ESPnet checkout, ready for a pull request.

Copies what git tracks of egs2/<corpus>/samu_st1 (the recipe) and of
egs2/TEMPLATE/samu_st1 (the template), links as links, but for configurations in
conf/tuning that run.sh does not name and for what a page has between
"<!-- here only -->" and "<!-- /here only -->"; adds the corpus to egs2/README.md and
to egs2/TEMPLATE/asr1/db.sh; and goes through what can be checked of the list "Checklist
before you submit a recipe PR" of ESPnet's CONTRIBUTING.md. Nothing is written unless
all of it holds.
"""

import argparse
import ast
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TASK = "samu_st1"
SHARED = ("db.sh", "path.sh", "pyscripts", "scripts", "st.sh", "steps", "utils")
DEFAULTS = ("cmd.sh", "conf/pbs.conf", "conf/queue.conf", "conf/slurm.conf")
PARTS = ("all", "template", "recipe")
LARGE = 500 * 1024  # bytes, of ESPnet's hook check-added-large-files
MOST_FILES, MOST_LINES = 30, 1500
"""Of a pull request, by ESPnet's PULL_REQUEST_TEMPLATE.md."""
HERE_ONLY = "<!-- here only -->"
_BLOCK = re.compile(rf"^{HERE_ONLY}\n.*?^<!-- /here only -->\n\n?", re.M | re.S)
_ROW = re.compile(rf"^.*{HERE_ONLY}.*\n", re.M)
ABSOLUTE = re.compile(r"""(?:^|[\s"'=:])(/(?:data|export|home|mnt|root|work)\S*/\S*)""")
UPWARDS = re.compile(r"(?<![\w./])(?:\.\./)+[\w./-]*\w")
LINK = re.compile(r"\]\((?!\w+:|#|<)([^)#\s]+)")
FRAGMENT = re.compile(r"\]\((?!\w+:|<)([^)#\s]*)#([^)\s]+)")
OWN = re.compile(r"make -C \S+|test/egs2\S*")
"""Targets and tests of this project, which ESPnet does not have."""
VARIABLE = re.compile(r"^\w+=\$\{([A-Z][A-Z0-9_]+):-\}", re.MULTILINE)


class Failure(Exception):
    """Something the user can mend; its text says how."""


def tracked(root: Path, *folders: str) -> list[Path]:
    """Return the files and links of folders that git tracks, relative to root."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--", *folders]
    listed = subprocess.run(command, check=True, capture_output=True, text=True)
    return [Path(name) for name in listed.stdout.split("\0") if name]


def exported(root: Path, corpus: str, part: str) -> list[Path]:
    """Return the files and links to copy, relative to root.

    Args:
        root: This project.
        corpus: Name of the recipe's folder below egs2.
        part: "template", "recipe", or "all" of both.
    """
    recipe = Path("egs2", corpus, TASK)
    run_sh = root / recipe / "run.sh"
    named = run_sh.read_text() if run_sh.exists() else ""
    folders = {"template": Path("egs2/TEMPLATE", TASK), "recipe": recipe}
    return [
        path
        for name, folder in folders.items()
        if part in (name, "all")
        for path in tracked(root, str(folder))
        if path.parent.name != "tuning"
        or (name == "recipe" and str(path.relative_to(folder)) in named)
    ]


def content(path: Path, text: bytes) -> bytes:
    """Return what a file is in ESPnet: pages lack what is of this project alone."""
    if path.suffix != ".md":
        return text
    page = _ROW.sub("", _BLOCK.sub("", text.decode()))
    return (page.rstrip("\n") + "\n").encode()


def _unformatted(path: Path, text: bytes) -> object:
    """Return what black, isort and pre-commit's hooks leave alone in a file."""
    lines = [line.rstrip() for line in text.decode().rstrip().split("\n")]
    if path.suffix != ".py":
        return lines
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            node.names.sort(key=lambda name: name.name)
    return sorted(ast.dump(node) for node in tree.body)


def _versions(root: Path, path: Path) -> Iterator[bytes]:
    """Yield a file as it is, and as the commits of this project had it."""
    yield (root / path).read_bytes()
    git = ["git", "-C", str(root)]
    log = subprocess.run(
        [*git, "log", "--format=%H", "--", str(path)], capture_output=True, text=True
    )
    for commit in log.stdout.split():
        show = subprocess.run([*git, "show", f"{commit}:{path}"], capture_output=True)
        if show.returncode == 0:
            yield show.stdout


def is_foreign(root: Path, path: Path, checkout: Path) -> bool:
    """Return whether a checkout has something at a path that is not of this project.

    Of this project is what it is or was, also if black, isort or another hook of
    ESPnet's has changed its form.
    """
    source, target = root / path, checkout / path
    if target.is_symlink() or source.is_symlink():
        if target.is_symlink() and source.is_symlink():
            return source.readlink() != target.readlink()
        return target.is_symlink() or target.exists()
    if not target.exists():
        return False
    there = target.read_bytes()
    if there == content(path, source.read_bytes()):
        return False
    try:
        form = _unformatted(path, there)
    except (SyntaxError, UnicodeDecodeError):
        return True
    return not any(
        _unformatted(path, content(path, version)) == form
        for version in _versions(root, path)
    )


def check_checkout(checkout: Path) -> None:
    """Raise Failure unless the folder is a checkout of ESPnet, and not our own copy."""
    own = ROOT / "tools/espnet"
    if checkout.resolve() in (ROOT, own.resolve()):
        raise Failure(
            f"{checkout} is {checkout.resolve()}, of this project: name the folder of "
            "a clone of ESPnet, absolutely, for make -C tools reads it from tools/"
        )
    for name in ("egs2/README.md", "egs2/TEMPLATE/asr1/db.sh", "egs2/TEMPLATE/st1"):
        if not (checkout / name).exists():
            raise Failure(f"{checkout} is no checkout of ESPnet: it has no {name}")


def check_recipe(
    root: Path, corpus: str, files: Sequence[Path], template: Path, part: str
) -> None:
    """Raise Failure with all that ESPnet's checklist finds fault with.

    Args:
        root: This project.
        corpus: Name of the recipe's folder below egs2.
        files: What is to be copied, relative to root.
        template: egs2/TEMPLATE of the checkout.
        part: What of it is to be copied.
    """
    recipe = Path("egs2", corpus, TASK)
    faults = []
    for name in SHARED if part != "template" else ():
        link = root / recipe / name
        source = "st1" if name in ("path.sh", "st.sh") else "asr1"
        target = f"../../TEMPLATE/{source}/{name}"
        if not link.is_symlink() or str(link.readlink()) != target:
            faults.append(f"{recipe / name} must be a link to {target}")
        elif not (template / source / name).exists():
            faults.append(f"{template / source / name}: {recipe / name} leads there")
    for name in DEFAULTS if part != "template" else ():
        default, own = template / "st1" / name, root / recipe / name
        if own.is_file() and own.read_bytes() != default.read_bytes():
            faults.append(f"{recipe / name} is not the default, {default}")
    needed = ("README.md", "RESULTS.md", "run.sh", "local/data.sh", *DEFAULTS)
    for name in (*needed, "conf/train.yaml", "conf/decode.yaml"):
        if part != "template" and recipe / name not in files:
            faults.append(f"{recipe / name} is missing, or unknown to git")
    for path in files:
        source = root / path
        if source.is_symlink():
            continue
        if not source.exists():
            faults.append(f"{path} is known to git, but gone")
        elif source.stat().st_size > LARGE:
            faults.append(f"{path} is larger than 500 KB")
        elif source.suffix in (".sh", ".py", ".yaml", ".conf"):
            for number, line in enumerate(source.read_text().splitlines(), 1):
                if found := ABSOLUTE.search(line):
                    faults.append(f"{path}:{number}: absolute path {found[1]}")
        elif source.suffix == ".md":
            page = content(path, source.read_bytes()).decode()
            # Of the other part, which is another pull request.
            known = [*files, *exported(root, corpus, "all")]
            faults += dead_paths(path, page, known, template.parents[1])
            faults += dead_fragments(root, path, page)
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
        for name in [*UPWARDS.findall(line), *LINK.findall(line)]:
            named = Path(os.path.normpath(path.parent / name))
            copied = any(named == f or named in f.parents for f in files)
            if not copied and not (checkout / named).exists():
                faults.append(f"{path}:{number}: {name} is not there in ESPnet")
        faults += [f"{path}:{number}: of this project: {s}" for s in OWN.findall(line)]
    return faults


def dead_fragments(root: Path, path: Path, text: str) -> list[str]:
    """Return faults of a page: headings that it links to and that no page has.

    Args:
        root: This project.
        path: The page, relative to root.
        text: What it says in ESPnet.
    """
    faults = []
    for number, line in enumerate(text.splitlines(), 1):
        for name, fragment in FRAGMENT.findall(line):
            page = root / os.path.normpath(path.parent / name) if name else root / path
            if page.suffix != ".md" or not page.is_file():
                continue
            there = content(page, page.read_bytes()).decode()
            headings = re.findall(r"^#+ (.*)$", there, re.MULTILINE)
            slugs = {
                re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings
            }
            if fragment not in slugs:
                faults.append(f"{path}:{number}: {name}#{fragment}: no such heading")
    return faults


def with_row(readme: str, row: str) -> str:
    """Return egs2/README.md with a corpus' row, by name.

    Where its rows are not in order, the place with the fewest rows on the wrong side.

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
    name = cells[0].lower()
    for number in listed:
        if rows[number][0] == cells[0] and cells[2] in rows[number][2].split("/"):
            return readme
    best = wrong = sum(rows[number][0].lower() < name for number in listed)
    place = header + 2
    for number in listed:
        wrong += 1 if rows[number][0].lower() > name else -1
        if wrong < best:
            best, place = wrong, number + 1
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


def export(root: Path, corpus: str, checkout: Path, part: str = "all") -> list[Path]:
    """Put a recipe into a checkout; return what was written, relative to it."""
    check_checkout(checkout)
    recipe = Path("egs2", corpus, TASK)
    files = exported(root, corpus, part)
    if recipe / "run.sh" not in exported(root, corpus, "recipe"):
        raise Failure(f"{recipe} is no recipe of this project that git tracks")
    rows = [
        line
        for line in (root / "egs2/README.md").read_text().splitlines()
        if line.startswith(f"| {corpus} |")
    ]
    if len(rows) != 1:
        raise Failure(f"egs2/README.md must have one row of {corpus}")
    if note := re.search(r"not for upstream: [^.|]*[\d.]*[^.|]*", rows[0]):
        raise Failure(f"{corpus} is {note[0].strip()} (egs2/README.md)")
    check_recipe(root, corpus, files, checkout / "egs2/TEMPLATE", part)
    others = [path for path in files if is_foreign(root, path, checkout)]
    if others:
        raise Failure(
            f"{checkout} has other versions of {', '.join(map(str, others))}; "
            "remove them first"
        )
    texts: dict[Path, str] = {}
    if part != "template":
        readme, db = Path("egs2/README.md"), Path("egs2/TEMPLATE/asr1/db.sh")
        names = VARIABLE.findall((root / recipe / "local/data.sh").read_text())
        texts[readme] = with_row((checkout / readme).read_text(), rows[0])
        texts[db] = with_variables((checkout / db).read_text(), names)

    written = []
    for path in files:
        source, target = root / path, checkout / path
        if source.is_symlink():
            if not target.is_symlink():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(source.readlink())
                written.append(path)
            continue
        new = content(path, source.read_bytes())
        if target.exists() and target.read_bytes() == new:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(new)
        shutil.copymode(source, target)
        written.append(path)
    for path, text in texts.items():
        if text != (checkout / path).read_text():
            (checkout / path).write_text(text)
            written.append(path)
    return written


def size(root: Path, corpus: str, part: str) -> tuple[int, int]:
    """Return files and lines of a pull request; a link is a file of one line.

    egs2/README.md and db.sh, which a recipe adds a row and its variables to, count.
    """
    files = exported(root, corpus, part)
    lines = 0
    for path in files:
        source = root / path
        is_link = source.is_symlink()
        lines += 1 if is_link else content(path, source.read_bytes()).count(b"\n")
    added = 0
    if part != "template":
        data_sh = (root / "egs2" / corpus / TASK / "local/data.sh").read_text()
        names = len(VARIABLE.findall(data_sh))
        added, lines = 1 + (names > 0), lines + 1 + names
    return len(files) + added, lines


def sizes(root: Path, corpus: str, parts: Sequence[str]) -> str:
    """Return lines with files and lines of each part, beside ESPnet's limits."""
    rows = []
    for part in parts:
        files, lines = size(root, corpus, part)
        fits = files <= MOST_FILES and lines < MOST_LINES
        rows.append(
            f"{part}: {files} files (at most {MOST_FILES}), {lines:,} lines (fewer "
            f"than {MOST_LINES:,}): {'yes' if fits else 'no, make it several'}"
        )
    return "\n".join(rows)


def pull_request(root: Path, corpus: str, part: str, tested: str) -> str:
    """Return the text of a pull request, by tools/upstream/PR.md.

    Args:
        root: This project.
        corpus: Name of the recipe's folder below egs2.
        part: What is exported.
        tested: What was run, and with what result.
    """
    recipe = f"egs2/{corpus}/{TASK}"
    what = {
        "template": f"Adds the template `egs2/TEMPLATE/{TASK}`.",
        "recipe": f"Adds the recipe `{recipe}`. Its template `egs2/TEMPLATE/{TASK}` is "
        "a pull request of its own, which comes first.",
        "all": f"Adds the recipe `{recipe}` and its template `egs2/TEMPLATE/{TASK}`.",
    }
    page = (root / recipe / "README.md").read_text()
    results = []
    for line in content(Path("README.md"), page.encode()).decode().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `--scenario`") or (results and line.startswith("|")):
            results.append(f"| {cells[0]} | {cells[-1]} |")
        elif results:
            break
    texts: Mapping[str, str] = {
        "what": what[part],
        "size": sizes(root, corpus, [part]),
        "tested": tested,
        "results": "\n".join(results) if part != "template" else "None: no corpus.",
        "links": "model: not there yet; papers: https://arxiv.org/abs/2205.08180, "
        "https://arxiv.org/abs/2306.00789",
    }
    text = (ROOT / "tools/upstream/PR.md").read_text()
    return re.sub(r"\{(\w+)\}", lambda match: texts[match[1]], text)


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", help="Folder of the recipe below egs2, as covost2")
    parser.add_argument("checkout", type=Path, help="Folder of a clone of ESPnet")
    parser.add_argument(
        "--part",
        choices=PARTS,
        default="all",
        help="Of two pull requests: template, then recipe; all: both",
    )
    parser.add_argument("--pr", type=Path, help="File for the pull request's text")
    args = parser.parse_args(cmd)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        written = export(ROOT, args.corpus, args.checkout, args.part)
    except Failure as e:
        logging.error(f"Error: {e}")
        sys.exit(1)
    parts = PARTS if args.part == "all" else [args.part]
    if args.pr:
        args.pr.parent.mkdir(parents=True, exist_ok=True)
        checked = args.pr.parent / f"tested_{args.corpus}.txt"
        tested = "`make -C tools upstream-check` of espnet_samu: not run yet."
        if checked.exists():
            tested = checked.read_text()
        args.pr.write_text(pull_request(ROOT, args.corpus, args.part, tested))
        logging.info(f"Text of the pull request: {args.pr.resolve()}")
    if not written:
        logging.info("All of it is there already.")
        logging.info(sizes(ROOT, args.corpus, parts))
        return
    logging.info("\n".join(str(path) for path in written))
    logging.info(sizes(ROOT, args.corpus, parts))
    logging.info(
        f"{len(written)} files written. Before the pull request, in {args.checkout}: "
        f"install this package beside ESPnet (pip install {ROOT}; it replaces nothing "
        "that is within the ranges of setup.py), run the recipe, put its scores into "
        "RESULTS.md with a link to the model, and run pre-commit."
    )


if __name__ == "__main__":
    main()
