"""Tests of tools/find_python.sh, with scripts that answer as a Python would."""

import os
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "find_python.sh"


def fake_python(path: Path, version: str, venv: int = 1, headers: int = 1) -> Path:
    """Write a program that answers find_python.sh's probe."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{version} {venv} {headers} {path}'\n")
    path.chmod(0o755)
    return path


def find_python(
    tmp_path: Path, python: Path | None = None
) -> subprocess.CompletedProcess:
    """Run find_python.sh where bin/ is all of PATH and pyenv/ is pyenv's root."""
    folder = tmp_path / "bin"
    folder.mkdir(exist_ok=True)
    # The shell's own needs, and not the system's Python.
    for name in ("bash", "cat"):
        if not (folder / name).exists():
            (folder / name).symlink_to(f"/bin/{name}")
    env = {"PATH": str(folder), "HOME": str(tmp_path)}
    env["PYENV_ROOT"] = str(tmp_path / "pyenv")
    if python is not None:
        env["PYTHON"] = str(python)
    command = [os.path.join("/bin", "bash"), str(SCRIPT)]
    return subprocess.run(command, env=env, capture_output=True, text=True)


def test_python_variable_comes_first(tmp_path: Path) -> None:
    fake_python(tmp_path / "bin/python3.12", "3.12")
    wanted = fake_python(tmp_path / "else where/python", "3.13")
    fake_python(tmp_path / "bin/c++", "g++")
    result = find_python(tmp_path, wanted)
    assert (result.returncode, result.stdout) == (0, f"{wanted}\n")


def test_python_variable_is_not_overruled(tmp_path: Path) -> None:
    fake_python(tmp_path / "bin/python3.12", "3.12")
    old = fake_python(tmp_path / "old/python", "3.11")
    result = find_python(tmp_path, old)
    assert (result.returncode, result.stdout) == (1, "")
    assert f"PYTHON={old} does not fit" in result.stderr
    assert f"{old}: is Python 3.11" in result.stderr


def test_shim_that_does_not_run_is_passed_by(tmp_path: Path) -> None:
    shim = fake_python(tmp_path / "bin/python3.12", "3.12")
    shim.write_text("#!/bin/sh\necho 'command not found in this version' >&2; exit 127")
    fake_python(tmp_path / "bin/python3", "3.11")
    fake_python(tmp_path / "pyenv/versions/3.11.7/bin/python", "3.11")
    wanted = fake_python(tmp_path / "pyenv/versions/3.12.1/bin/python", "3.12")
    result = find_python(tmp_path)
    assert (result.returncode, result.stdout) == (0, f"{wanted}\n")


def test_none_is_explained(tmp_path: Path) -> None:
    shim = fake_python(tmp_path / "bin/python3.12", "3.12")
    shim.write_text("#!/bin/sh\nexit 127")
    other = fake_python(tmp_path / "bin/python3", "3.14")
    result = find_python(tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert f"{shim}: does not run" in result.stderr
    assert f"{other}: is Python 3.14" in result.stderr
    assert "sudo apt-get install python3 python3-venv" in result.stderr


def test_what_apt_has_to_add_is_named(tmp_path: Path) -> None:
    fake_python(tmp_path / "bin/python3.12", "3.12", venv=0)
    fake_python(tmp_path / "bin/python3.13", "3.13", headers=0)
    result = find_python(tmp_path)
    assert result.returncode == 1
    assert "sudo apt-get install python3.12-venv" in result.stderr
    assert "sudo apt-get install g++ python3.13-dev" in result.stderr


def test_uv_is_asked_last(tmp_path: Path) -> None:
    wanted = fake_python(tmp_path / "uv/python3.12", "3.12")
    uv = tmp_path / "bin/uv"
    uv.parent.mkdir()
    uv.write_text(f'#!/bin/sh\n[ "$1 $2" = "python find" ] && echo "{wanted}"\n')
    uv.chmod(0o755)
    result = find_python(tmp_path)
    assert (result.returncode, result.stdout) == (0, f"{wanted}\n")
