"""Tests of tools/check_install.py."""

import importlib.util
import re
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from packaging.requirements import Requirement

FILES = {}  # of distributions, as metadata.files gives them
SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "check_install.py"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return tools/check_install.py as a module."""
    spec = importlib.util.spec_from_file_location("check_install", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their own module up.
    monkeypatch.setitem(sys.modules, "check_install", module)
    spec.loader.exec_module(module)
    return module


def test_every_pinned_distribution_is_found_here(script) -> None:
    rows = {row.component: row for row in script.check_distributions()}
    assert len(rows) > 20 and {"torch", "pytest-xdist", "espnet_samu"} <= set(rows)
    assert [row for row in rows.values() if row.problem] == []


def test_constraints_pin_all_that_setup_asks_for(script) -> None:
    """Each requirement has a pin, within its range; and no pin is of anything else."""
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", script.CONSTRAINTS.read_text(), re.M))
    every = [Requirement(line) for line in metadata.requires("espnet_samu")]
    # make setup installs the extra "test"; what "demo" needs would lower its versions.
    requirements = [
        r for r in every if r.marker is None or r.marker.evaluate({"extra": "test"})
    ]
    assert {requirement.name for requirement in requirements} == set(pins)
    for requirement in requirements:
        assert pins[requirement.name] in requirement.specifier, requirement
        # Ranges: this package may go into somebody else's environment.
        assert "==" not in str(requirement.specifier), requirement


@pytest.fixture
def check(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path_factory
) -> ModuleType:
    """Return tools/check_install.py as a module that finds everything it needs."""
    module = script
    versions = {"espnet_samu": "0.1.0", "torch": "2.0+cpu", "pytest": "9.0"}
    constraints = tmp_path_factory.mktemp("tools") / "constraints.txt"
    constraints.write_text("# Exact versions.\ntorch==2.0\npytest==9.0\n")

    def version(name: str) -> str:
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(module.metadata, "version", version)
    monkeypatch.setattr(module, "CONSTRAINTS", constraints)
    monkeypatch.setattr(module.shutil, "which", lambda name, path=None: name)
    monkeypatch.setattr(module, "find_spec", lambda name: name)
    monkeypatch.setattr(module.metadata, "files", lambda name: FILES.get(name))
    monkeypatch.setattr(module, "VERSIONS", versions, raising=False)
    return module


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return the folder of an ESPnet in which nothing is missing."""
    for name in ("egs2/TEMPLATE/asr1/pyscripts/utils", "egs2/TEMPLATE/asr1/steps"):
        (tmp_path / name).mkdir(parents=True)
    files = ("version.txt", "egs2/TEMPLATE/st1/st.sh", "egs2/mini/st1/path.sh")
    files += ("egs2/TEMPLATE/asr1/utils/parse_options.sh",)
    files += ("egs2/TEMPLATE/asr1/scripts/utils/print_args.sh",)
    files += ("tools/sentencepiece_commands/spm_train",)
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("202611\n")
    (tmp_path / files[-1]).chmod(0o755)
    (tmp_path / "egs2/mini/st1/utils").symlink_to("../../TEMPLATE/asr1/utils")
    return tmp_path


def run(
    check: ModuleType, tree: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> tuple[int, dict[str, list[str]]]:
    """Run the check; return its status and the table by component."""
    monkeypatch.setattr(sys, "argv", ["check_install.py", "--tree", str(tree)])
    status = check.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["component", "version", "ok"]
    # Columns are parted by two blanks or more.
    rows = [[cell for cell in line.split("  ") if cell] for line in lines[1:]]
    return status, {row[0].strip(): [c.strip() for c in row[1:]] for row in rows}


def test_all_well(check, tree, monkeypatch, capsys) -> None:
    status, rows = run(check, tree, monkeypatch, capsys)
    assert status == 0
    # A local version is the same release.
    assert rows["torch"] == ["2.0+cpu", "yes"]
    assert rows["pytest"] == ["9.0", "yes"]
    assert "numpy" not in rows and "#" not in rows
    assert rows["tools/espnet"] == ["202611", "yes"]
    assert {row[-1] for row in rows.values()} == {"yes"}


def test_missing_package(check, tree, monkeypatch, capsys) -> None:
    del check.VERSIONS["torch"]
    status, rows = run(check, tree, monkeypatch, capsys)
    assert status == 1
    assert rows["torch"][0] == "-" and "make -C" in rows["torch"][1]


def test_lost_module(check, tree, monkeypatch, capsys) -> None:
    # As an interrupted removal leaves it: the record stays, a module is gone.
    present = SimpleNamespace(suffix=".py", locate=lambda: SCRIPT)
    absent = SimpleNamespace(suffix=".py", locate=lambda: tree / "absent.py")
    monkeypatch.setitem(FILES, "torch", [present, absent])
    status, rows = run(check, tree, monkeypatch, capsys)
    assert status == 1
    assert "lacks 1 of 2 modules: make -C" in rows["torch"][1]


def test_other_version(check, tree, monkeypatch, capsys) -> None:
    check.VERSIONS["torch"] = "2.0.1"
    status, rows = run(check, tree, monkeypatch, capsys)
    assert status == 1
    assert rows["torch"][0] == "2.0.1" and "2.0 is pinned" in rows["torch"][1]


def test_missing_program(check, tree, monkeypatch, capsys) -> None:
    monkeypatch.setattr(
        check.shutil, "which", lambda name, path=None: name not in ("perl", "sox")
    )
    status, rows = run(check, tree, monkeypatch, capsys)
    assert status == 1
    assert rows["perl"] == ["-", "NO: sudo apt-get install perl"]
    why = "for --speed_perturb_factors only"
    assert rows["sox"] == ["-", f"optional: sudo apt-get install sox, {why}"]


def test_missing_optional_program_is_no_failure(
    check, tree, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(check.shutil, "which", lambda name, path=None: name != "sox")
    assert run(check, tree, monkeypatch, capsys)[0] == 0


@pytest.mark.parametrize(
    "name, component",
    [
        ("version.txt", "tools/espnet"),
        ("egs2/TEMPLATE/st1/st.sh", "tools/espnet"),
        ("egs2/mini/st1/utils", "tools/espnet links"),
        ("tools/sentencepiece_commands/spm_train", "spm_train"),
    ],
)
def test_missing_part_of_espnet(
    check, tree, monkeypatch, capsys, name: str, component: str
) -> None:
    (tree / name).unlink()
    status, rows = run(check, tree, monkeypatch, capsys)
    assert status == 1
    assert rows[component][-1].startswith("NO: ")


def test_checkout_without_links_is_no_failure(
    check, tree, tmp_path_factory, monkeypatch, capsys
) -> None:
    (tree / "egs2/mini/st1/utils").unlink()
    link = tmp_path_factory.mktemp("tools") / "espnet"
    link.symlink_to(tree)
    status, rows = run(check, link, monkeypatch, capsys)
    assert status == 0
    assert rows["tools/espnet links"] == ["-", "optional: not in 1 of its recipes"]
