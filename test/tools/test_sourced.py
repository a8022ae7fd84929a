"""Tests of what ESPnet's path.sh sources: activate_python.sh and extra_path.sh."""

import shutil
import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """Return a tools folder that is set up, as far as the two scripts can see."""
    folder = tmp_path / "tools"
    for name in ("venv/bin", "espnet/tools", "espnet/utils"):
        (folder / name).mkdir(parents=True)
    for name in ("activate_python.sh", "extra_path.sh"):
        shutil.copy(TOOLS / name, folder)
    for name in ("python", "python3"):
        (folder / "venv/bin" / name).write_text("#!/bin/sh\n")
        (folder / "venv/bin" / name).chmod(0o755)
    (folder / "espnet/tools/extra_path.sh").write_text("export SEEN=1\n")
    return folder


def source(folder: Path, script: str) -> subprocess.CompletedProcess:
    """Run a strict shell in a recipe's folder that sources by a relative path."""
    recipe = folder.parent / "egs2/corpus/st1"
    recipe.mkdir(parents=True, exist_ok=True)
    command = ["bash", "-euo", "pipefail", "-c", script]
    return subprocess.run(command, cwd=recipe, capture_output=True, text=True)


def test_python_is_put_first_once(tools: Path) -> None:
    script = ". ../../../tools/activate_python.sh; " * 2
    script += 'command -v python3; echo "${PATH}"; echo "${VIRTUAL_ENV}"'
    result = source(tools, script)
    found, path, venv = result.stdout.splitlines()
    bin_folder = str(tools / "venv/bin")
    assert Path(found).resolve() == tools / "venv/bin/python3"
    assert [str(Path(p).resolve()) for p in path.split(":")].count(bin_folder) == 1
    assert Path(venv).resolve() == tools / "venv"


def test_bytecode_is_kept(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipes and make: container images forbid it, and each start costs 9 s more."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    show = 'echo "${PYTHONDONTWRITEBYTECODE-unset}"'
    script = f"{show}; . ../../../tools/activate_python.sh; {show}"
    assert source(tools, script).stdout.split() == ["1", "unset"]
    target = f"show: ; @{show.replace('$', '$$')}"
    command = [
        "make",
        "-s",
        "--no-print-directory",
        "-C",
        str(TOOLS),
        "--eval",
        target,
        "show",
    ]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.stdout.split() == ["unset"]


def test_utils_come_last(tools: Path) -> None:
    script = '. ../../../tools/extra_path.sh; echo "${SEEN} ${PATH}"'
    seen, path = source(tools, script).stdout.split(maxsplit=1)
    assert seen == "1"
    last = path.strip().split(":")[-1]
    assert Path(last).resolve() == tools / "espnet/utils"


@pytest.mark.parametrize(
    "script, folder", [("activate_python.sh", "venv"), ("extra_path.sh", "espnet")]
)
def test_what_is_missing_ends_the_shell(tools: Path, script: str, folder: str) -> None:
    shutil.rmtree(tools / folder)
    # As in path.sh || true, where set -e would not end it.
    result = source(tools, f". ../../../tools/{script} || true; echo went on")
    assert result.returncode == 1 and result.stdout == ""
    assert "run: make -C" in result.stderr
