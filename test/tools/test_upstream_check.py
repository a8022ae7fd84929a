"""Tests of tools/upstream/check.py: what it reads in ESPnet's own files."""

import importlib.util
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ESPNET = ROOT / "tools/espnet"

spec = importlib.util.spec_from_file_location(
    "upstream_check", ROOT / "tools/upstream/check.py"
)
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)


def test_hooks_are_those_of_espnet_with_the_files_that_they_are_for(tmp_path):
    config = (ESPNET / ".pre-commit-config.yaml").read_text()
    (tmp_path / ".pre-commit-config.yaml").write_text(config)
    names = ("run.sh", "conf/train.yaml", "local/a.py", "utils")
    files = [Path("egs2/c/samu_st1", name) for name in names]
    files.append(Path("egs2/TEMPLATE/asr1/utils/a.py"))  # excluded everywhere
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / files[3]).unlink()
    (tmp_path / files[3]).symlink_to("elsewhere")
    found = dict(tool.hooks(tmp_path, files))
    run_sh, train, local = (str(file) for file in files[:3])
    assert found["pre-commit: black 26.10.1"] == ["black", local]
    assert found["pre-commit: isort 10.0.0b1"] == ["isort", "--filter-files", local]
    assert found["pre-commit: check-yaml v6.0.0"] == ["check-yaml", train]
    line_ending = found["pre-commit: mixed-line-ending v6.0.0"]
    assert line_ending == ["mixed-line-ending", "--fix=lf", run_sh, train, local]
    assert len(found) == config.count("-   id: ")


def test_a_new_hook_is_not_overlooked(tmp_path):
    (tmp_path / ".pre-commit-config.yaml").write_text(
        "repos:\n- {repo: x, rev: 1, hooks: [{id: check-everything}]}\n"
    )
    with pytest.raises(KeyError, match="check-everything"):
        list(tool.hooks(tmp_path, [Path("a")]))


def test_shellcheck_is_called_as_by_espnet():
    lines = list(tool.shell_lines(ESPNET, ["covost2", "europarl"]))
    assert [line.split()[1] for line in lines] == [
        "egs2/TEMPLATE/samu_st1/setup.sh",
        "egs2/covost2/samu_st1/local/data.sh",
        "egs2/europarl/samu_st1/local/data.sh",
        "egs2/covost2/samu_st1",
        "egs2/europarl/samu_st1",
    ]
    assert all("shellcheck -Calways -x -e SC2001 -e SC1091" in line for line in lines)
    assert not any("tee" in line for line in lines)


def test_a_script_without_shellcheck_is_not_taken_for_clean(tmp_path):
    (tmp_path / "ci").mkdir()
    (tmp_path / "ci/test_shell_espnet2.sh").write_text("shellcheck egs2/*.sh\n")
    with pytest.raises(tool.export_upstream.Failure, match="has no line `find"):
        list(tool.shell_lines(tmp_path, ["covost2"]))


def test_parts_of_scripts_are_whole():
    configuration = tool.configuration_lines(ESPNET)
    assert "conf/pbs.conf" in configuration and "setup.sh egs2/test/" in configuration
    for text in (configuration, tool.doc_lines(ESPNET)):
        subprocess.run(["bash", "-n", "-c", text], check=True)


def test_setup_sh_without_the_plug_in_makes_the_recipe_that_it_makes_with_it(tmp_path):
    """ESPnet's CI calls it so."""
    setup = Path("egs2/TEMPLATE/samu_st1/setup.sh")
    (tmp_path / "egs2/TEMPLATE").mkdir(parents=True)
    for name in ("asr1", "st1"):
        link = tmp_path / "egs2/TEMPLATE" / name
        link.symlink_to((ROOT / "egs2/TEMPLATE" / name).resolve())
    source = ROOT / setup.parent
    subprocess.run(["cp", "-r", source, tmp_path / "egs2/TEMPLATE"], check=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python3").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "bin/python3").chmod(0o755)

    def make(path):
        folder = f"egs2/{path.name}/samu_st1"
        env = {"PATH": f"{path}:/usr/bin:/bin"}
        subprocess.run([tmp_path / setup, folder], cwd=tmp_path, env=env, check=True)
        return {
            str(file.relative_to(tmp_path / folder)): (
                str(file.readlink()) if file.is_symlink() else file.read_bytes()
            )
            for file in (tmp_path / folder).rglob("*")
            if not file.is_dir() or file.is_symlink()
        }

    plain = make(tmp_path / "bin")
    (tmp_path / "tools").symlink_to(ROOT / "tools")
    assert plain == make(tmp_path / "with")
    again = subprocess.run([tmp_path / setup, "egs2/bin/samu_st1"], cwd=tmp_path)
    assert again.returncode == 1
