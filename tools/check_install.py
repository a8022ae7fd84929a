#!/usr/bin/env python3
"""Print one table of what the recipes need: component, version, ok.

Nothing heavy is imported: versions are read from the installed packages' metadata.
They have to be those of constraints.txt.
"""

import argparse
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
SETUP = f"make -C {TOOLS} setup"
PACKAGE = "espnet_samu"
CONSTRAINTS = TOOLS / "constraints.txt"
# Program -> Debian package, of what st.sh runs.
PROGRAMS = {"perl": "perl", "awk": "mawk", "sort": "coreutils", "paste": "coreutils"}
# Program, which is its Debian package's name, too -> what alone needs it.
OPTIONAL_PROGRAMS = {
    "sox": "--speed_perturb_factors",
    "ffmpeg": "mini_asterisk's local/make_downloads.sh",
}
# ESPnet's scripts that our own recipes reach through links.
SCRIPTS = (
    "egs2/TEMPLATE/st1/st.sh",
    "egs2/TEMPLATE/asr1/utils/parse_options.sh",
    "egs2/TEMPLATE/asr1/scripts/utils/print_args.sh",
    "egs2/TEMPLATE/asr1/pyscripts/utils",
    "egs2/TEMPLATE/asr1/steps",
)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    component: str
    """What it is."""
    version: str
    """What was found of it, or "-"."""
    problem: str = ""
    """What is wrong and the command that mends it; empty if all is well."""
    required: bool = True
    """False if only some recipes need it."""

    @property
    def mark(self) -> str:
        """The last column."""
        if not self.problem:
            return "yes"
        return f"{'NO' if self.required else 'optional'}: {self.problem}"


def check_python() -> Row:
    """Look at the Python that runs this."""
    found = ".".join(map(str, sys.version_info[:3]))
    fits = (3, 12) <= sys.version_info[:2] < (3, 14)
    return Row("python", found, "" if fits else "3.12 or 3.13 is needed")


def check_distribution(name: str, pinned: str | None) -> Row:
    """Look at one installed distribution.

    Args:
        name: Its name.
        pinned: The version it has to be; None for any.
    """
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Row(name, "-", SETUP)
    # A local version such as +cpu is the same release.
    if pinned and found.split("+")[0] != pinned:
        return Row(name, found, f"{pinned} is pinned: {SETUP}")
    files = [path for path in metadata.files(name) or [] if path.suffix == ".py"]
    lost = [path for path in files if not path.locate().exists()]
    if lost or (name == PACKAGE and find_spec(PACKAGE) is None):
        fault = f"lacks {len(lost)} of {len(files)} modules" if lost else "has moved"
        return Row(name, found, f"{fault}: make -C {TOOLS} clean setup")
    return Row(name, found)


def check_distributions() -> Iterator[Row]:
    """Look at this package and everything that constraints.txt pins."""
    package = check_distribution(PACKAGE, None)
    yield package
    if package.problem:
        return
    for line in CONSTRAINTS.read_text("utf-8").splitlines():
        match = re.match(r"([\w.-]+)==([\w.]+)", line)
        if match:
            yield check_distribution(*match.groups())


def check_program(name: str, package: str, only_for: str | None = None) -> Row:
    """Look for one program on PATH.

    Args:
        name: Its name.
        package: The Debian package that holds it.
        only_for: What alone needs it; None: every recipe.
    """
    if shutil.which(name):
        return Row(name, "found")
    mend = f"sudo apt-get install {package}"
    if only_for:
        mend += f", for {only_for} only"
    return Row(name, "-", mend, required=only_for is None)


def check_shellcheck() -> Row:
    """Look for shellcheck, which is a package's program or the system's."""
    if shutil.which("shellcheck", path=f"{sys.prefix}/bin:{os.environ['PATH']}"):
        return Row("shellcheck", "found")
    return Row("shellcheck", "-", "sudo apt-get install shellcheck", False)


def check_espnet_tree(tree: Path) -> Iterator[Row]:
    """Look at ESPnet's recipes and scripts.

    Args:
        tree: Where they are.
    """
    spm_train = tree / "tools" / "sentencepiece_commands" / "spm_train"
    runs = os.access(spm_train, os.X_OK)
    yield Row("spm_train", "found" if runs else "-", "" if runs else SETUP)
    version_file = tree / "version.txt"
    if not version_file.is_file():
        yield Row("tools/espnet", "-", SETUP)
        return
    found = version_file.read_text().strip()
    gone = [name for name in SCRIPTS if not (tree / name).exists()]
    problem = f"{gone[0]} is missing: {SETUP}" if gone else ""
    yield Row("tools/espnet", found, problem)
    # The links that a source distribution lacks; ESPnet's recipes fail without them.
    unlinked = [
        path_sh.parent.relative_to(tree).as_posix()
        for path_sh in tree.glob("egs2/*/*/path.sh")
        if not (path_sh.parent / "utils").exists()
    ]
    problem = f"not in {len(unlinked)} of its recipes" if unlinked else ""
    # Setup mends its own tree; a checkout is the user's, and our recipes need no more.
    ours = not tree.is_symlink()
    if problem and ours:
        problem += f": {SETUP}"
    yield Row("tools/espnet links", "-" if unlinked else "found", problem, ours)


def check_packages() -> Iterator[Row]:
    """Look at Python and the packages."""
    yield check_python()
    yield from check_distributions()


def check_all(tree: Path) -> Iterator[Row]:
    """Yield every row of the table.

    Args:
        tree: Where ESPnet's recipes and scripts are.
    """
    yield from check_packages()
    yield from check_espnet_tree(tree)
    for name, package in PROGRAMS.items():
        yield check_program(name, package)
    yield check_shellcheck()
    for name, only_for in OPTIONAL_PROGRAMS.items():
        yield check_program(name, name, only_for)


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tree", type=Path, default=TOOLS / "espnet")
    parser.add_argument("--packages", action="store_true", help="no more than those")
    return parser


def main() -> int:
    """Print the table; return 1 if something that is required is missing."""
    args = get_parser().parse_args()
    rows = list(check_packages() if args.packages else check_all(args.tree))
    table = [("component", "version", "ok")]
    table += [(row.component, row.version, row.mark) for row in rows]
    widths = [max(len(line[i]) for line in table) for i in range(2)]
    for component, version, mark in table:
        print(f"{component:<{widths[0]}}  {version:<{widths[1]}}  {mark}")
    return int(any(row.problem and row.required for row in rows))


if __name__ == "__main__":
    sys.exit(main())
