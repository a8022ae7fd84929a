"""Tests of tools/espnet_sdist.py, on a tree of a few files."""

import importlib.util
import os
import tarfile
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "espnet_sdist.py"
VERSION = "1"


@pytest.fixture
def sdist_tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return tools/espnet_sdist.py as a module."""
    spec = importlib.util.spec_from_file_location("espnet_sdist", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def downloads(
    tmp_path: Path, sdist_tool: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Return a downloads folder that holds a small sdist, its checksum known."""
    source = tmp_path / "source" / f"espnet-{VERSION}"
    recipe_files = ("TEMPLATE/asr1", "TEMPLATE/st1", "TEMPLATE/diar1", "mini/st1")
    for name in recipe_files + ("mini/diar1",):
        (source / "egs2" / name).mkdir(parents=True)
        (source / "egs2" / name / "path.sh").write_text("MAIN_ROOT=$PWD/../../..\n")
    # A folder without path.sh is no recipe.
    (source / "egs2/mini/conf").mkdir()
    (source / "egs2/mini/conf/train.yaml").write_text("a: 1\n")
    for name in ("pyscripts", "scripts/utils", "steps", "utils"):
        folder = source / "egs2/TEMPLATE/asr1" / name
        folder.mkdir(parents=True)
        (folder / "parse_options.sh").write_text(f"echo {name}\n")
    (source / "egs2/TEMPLATE/diar1/scripts").mkdir()
    (source / "egs2/TEMPLATE/diar1/scripts/README.md").write_text("diar\n")
    (source / "version.txt").write_text(f"{VERSION}\n")
    folder = tmp_path / "downloads"
    folder.mkdir()
    sdist = folder / f"espnet-{VERSION}.tar.gz"
    with tarfile.open(sdist, "w:gz") as tar:
        tar.add(source, arcname=source.name)
    sha256 = sdist_tool.file_sha256(sdist)
    monkeypatch.setattr(sdist_tool, "SHA256", {VERSION: sha256})
    return folder


@pytest.fixture
def tree(tmp_path: Path, sdist_tool: ModuleType, downloads: Path) -> Path:
    """Return the small sdist's tree as setup installs it."""
    path = tmp_path / "espnet"
    assert sdist_tool.install(path, downloads, VERSION, None) == "unpacked"
    return path


def verify(sdist_tool: ModuleType, tree: Path, downloads: Path) -> str:
    """Verify the small tree."""
    sdist = downloads / f"espnet-{VERSION}.tar.gz"
    return sdist_tool.verify(tree, sdist, sdist_tool.expected_sha256(VERSION))


def test_file_sha256_is_that_of_the_standard(
    sdist_tool: ModuleType, tmp_path: Path
) -> None:
    # "abc" is the first example of FIPS 180-2.
    (tmp_path / "abc").write_text("abc")
    assert sdist_tool.file_sha256(tmp_path / "abc") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_links_are_those_of_the_repository(tree: Path) -> None:
    links = {
        path.relative_to(tree / "egs2").as_posix(): os.readlink(path)
        for path in tree.rglob("*")
        if path.is_symlink()
    }
    asr1 = "../../TEMPLATE/asr1/"
    # mini/st1, mini/diar1, TEMPLATE/st1 and TEMPLATE/diar1 have four links each,
    # of which the task with a scripts folder of its own has it linked otherwise.
    expected = {
        f"{recipe}/{name}": asr1 + name
        for recipe in ("mini/st1", "mini/diar1", "TEMPLATE/st1", "TEMPLATE/diar1")
        for name in ("pyscripts", "scripts", "steps", "utils")
    }
    del expected["TEMPLATE/diar1/scripts"]
    expected["mini/diar1/scripts"] = "../../TEMPLATE/diar1/scripts"
    expected["TEMPLATE/diar1/scripts/utils"] = "../../asr1/scripts/utils"
    assert links == expected
    assert (tree / "egs2/mini/diar1/scripts/utils/parse_options.sh").is_file()


def test_install_again_does_nothing(
    sdist_tool: ModuleType, tree: Path, downloads: Path
) -> None:
    before = tree.stat()
    assert sdist_tool.install(tree, downloads, VERSION, None) == "up to date"
    assert tree.stat() == before


def test_install_restores_a_lost_link(
    sdist_tool: ModuleType, tree: Path, downloads: Path
) -> None:
    (tree / "egs2/mini/st1/utils").unlink()
    result = sdist_tool.install(tree, downloads, VERSION, None)
    assert result == "up to date, 1 links restored"
    assert "every file" in verify(sdist_tool, tree, downloads)


def test_a_stopped_upgrade_is_made_again(
    sdist_tool: ModuleType,
    tree: Path,
    downloads: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A version whose sdist is the same but for its last bytes.
    sdist = downloads / "espnet-2.tar.gz"
    sdist.write_bytes((downloads / f"espnet-{VERSION}.tar.gz").read_bytes() + b"\0")
    monkeypatch.setitem(sdist_tool.SHA256, "2", sdist_tool.file_sha256(sdist))
    with monkeypatch.context() as patch:

        def stop(*args: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(sdist_tool, "restore_links", stop)
        with pytest.raises(KeyboardInterrupt):
            sdist_tool.install(tree, downloads, "2", None)
    assert tree.is_dir()  # of the first version
    assert sdist_tool.install(tree, downloads, "2", None) == "unpacked"
    assert sdist_tool.install(tree, downloads, "2", None) == "up to date"


def test_install_leaves_a_strange_folder_alone(
    sdist_tool: ModuleType, downloads: Path, tmp_path: Path
) -> None:
    path = tmp_path / "espnet"
    path.mkdir()
    with pytest.raises(sdist_tool.Failure, match="not made by setup"):
        sdist_tool.install(path, downloads, VERSION, None)
    assert path.is_dir()


def test_install_links_to_a_checkout(
    sdist_tool: ModuleType, tree: Path, downloads: Path, tmp_path: Path, caplog
) -> None:
    link = tmp_path / "link"
    sdist_tool.install(link, downloads, VERSION, str(tree))
    assert link.resolve() == tree and not caplog.records
    # Kept by a later setup that does not say ESPNET_ROOT; another version is told.
    assert "a link to" in sdist_tool.install(link, downloads, "2", None)
    assert "is ESPnet 1, the installed package is 2" in caplog.text
    with pytest.raises(sdist_tool.Failure, match="no checkout"):
        sdist_tool.install(link, downloads, VERSION, str(downloads))


def test_unknown_version_is_named(sdist_tool: ModuleType, downloads: Path) -> None:
    with pytest.raises(sdist_tool.Failure, match="ESPnet 3 is installed"):
        sdist_tool.download("3", downloads)


def test_verify_accepts_what_python_caches(
    sdist_tool: ModuleType, tree: Path, downloads: Path
) -> None:
    cache = tree / "egs2/TEMPLATE/asr1/steps/__pycache__"
    cache.mkdir()
    (cache / "a.pyc").write_text("")
    assert "every file" in verify(sdist_tool, tree, downloads)


@pytest.mark.parametrize(
    "change, expected",
    [
        ("echo scripts >> version.txt", "altered: version.txt"),
        ("printf 2 > version.txt", "altered: version.txt"),
        ("chmod +x version.txt", "executable bit altered: version.txt"),
        ("rm version.txt", "missing: version.txt"),
        ("mv version.txt v; ln -s v version.txt", "missing: version.txt"),
        ("touch egs2/mini/new.sh", "not of the sdist: egs2/mini/new.sh"),
        ("ln -s /tmp egs2/mini/out", "link not of setup's: egs2/mini/out"),
        (
            "ln -sfn ../conf egs2/mini/st1/utils",
            "link not of setup's: egs2/mini/st1/utils",
        ),
    ],
)
def test_verify_names_what_differs(
    sdist_tool: ModuleType, tree: Path, downloads: Path, change: str, expected: str
) -> None:
    assert os.system(f"cd '{tree}' && {change}") == 0
    with pytest.raises(sdist_tool.Failure) as error:
        verify(sdist_tool, tree, downloads)
    assert f"\n  {expected}" in str(error.value)


def test_verify_compares_with_the_true_sdist(
    sdist_tool: ModuleType, tree: Path, downloads: Path
) -> None:
    with (downloads / f"espnet-{VERSION}.tar.gz").open("ab") as f:
        f.write(b"x")
    with pytest.raises(sdist_tool.Failure, match="has sha256"):
        verify(sdist_tool, tree, downloads)
