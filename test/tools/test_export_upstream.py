"""Tests of tools/export_upstream.py: own recipes, a checkout of few files."""

import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "tools/espnet/egs2/TEMPLATE"
HEADER = "| Directory name | Corpus name | Task | Language | URL | Note |\n|---|---|\n"

spec = importlib.util.spec_from_file_location(
    "export_upstream", ROOT / "tools/export_upstream.py"
)
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)


@pytest.fixture
def checkout(tmp_path):
    """Return the files of an ESPnet checkout that recipes are linked to."""
    folder = tmp_path / "espnet"
    template = folder / "egs2/TEMPLATE"
    for name in ("pyscripts", "scripts", "steps", "utils"):
        (template / "asr1" / name).mkdir(parents=True)
    shutil.copy(TEMPLATE / "asr1/db.sh", template / "asr1")
    (template / "st1/conf").mkdir(parents=True)
    for name in ("cmd.sh", "path.sh", "st.sh", *tool.DEFAULTS):
        shutil.copy(TEMPLATE / "st1" / name, template / "st1" / name)
    rows = "| dsing | A | ASR | ENG | u | |\n| zeroth | B | ASR | KOR | u | |\n"
    (folder / "egs2/README.md").write_text(HEADER + rows)
    return folder


@pytest.fixture
def project(tmp_path):
    """Return a copy of this project's europarl recipe, tracked by git."""
    root = tmp_path / "project"
    for name in ("egs2/europarl", "egs2/TEMPLATE/samu_st1", "egs2/README.md"):
        for path in tool.tracked(ROOT, name):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, root / path, follow_symlinks=False)
    subprocess.run(["git", "init", "-q", root], check=True)
    subprocess.run(["git", "-C", root, "add", "-A"], check=True)
    return root


def snapshot(folder):
    return {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("corpus", ["covost2", "europarl", "fleurs"])
def test_a_recipe_arrives_whole(checkout, corpus):
    written = tool.export(ROOT, corpus, checkout)
    recipe = f"egs2/{corpus}/samu_st1"
    wanted = tool.tracked(ROOT, recipe, "egs2/TEMPLATE/samu_st1")
    assert set(wanted) <= set(written)
    for path in wanted:
        there = checkout / path
        assert there.exists(), f"{path} leads nowhere"
        assert there.is_symlink() == (ROOT / path).is_symlink()
    assert (checkout / recipe / "run.sh").stat().st_mode & 0o100
    rows = (checkout / "egs2/README.md").read_text().splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == sorted(
        ["| dsing", "| zeroth", f"| {corpus}"]
    )
    assert tool.export(ROOT, corpus, checkout) == []


def test_the_corpus_gets_its_variable(checkout):
    db = checkout / "egs2/TEMPLATE/asr1/db.sh"
    before = db.read_text().splitlines()
    assert "EUROPARL_ST=" not in before
    tool.export(ROOT, "europarl", checkout)
    after = db.read_text().splitlines()
    assert [line for line in after if line != "EUROPARL_ST="] == before
    assert after.count("EUROPARL_ST=") == 1


def test_other_versions_are_kept(checkout):
    tool.export(ROOT, "europarl", checkout)
    (checkout / "egs2/europarl/samu_st1/run.sh").write_text("mine\n")
    (checkout / "egs2/europarl/samu_st1/utils").unlink()
    (checkout / "egs2/europarl/samu_st1/utils").symlink_to("elsewhere")
    before = snapshot(checkout)
    with pytest.raises(tool.Failure, match="europarl/samu_st1/run.sh.*samu_st1/utils"):
        tool.export(ROOT, "europarl", checkout)
    assert snapshot(checkout) == before


def test_what_the_checklist_forbids_is_named(checkout, project):
    recipe = project / "egs2/europarl/samu_st1"
    number = len((recipe / "run.sh").read_text().splitlines()) + 1
    with (recipe / "run.sh").open("a") as f:
        f.write("europarl_st=/home/me/europarl\n")
    with (recipe / "cmd.sh").open("a") as f:
        f.write("# mine\n")
    (recipe / "utils").unlink()
    (recipe / "utils").mkdir()
    (recipe / "RESULTS.md").unlink()
    (recipe / "conf/pbs.conf").unlink()
    (recipe / "words.txt").write_bytes(b"a" * (tool.LARGE + 1))
    for path in (recipe / "conf").glob("train*.yaml"):
        path.unlink()
    (checkout / "tools").mkdir()
    (recipe / "USE.md").write_text(
        "make -C ../../../tools setup\n"
        "[there](../../TEMPLATE/samu_st1/README.md#a) exp/.../valid.pth ../cmd.sh\n"
    )
    subprocess.run(["git", "-C", project, "add", "-A"], check=True)
    (recipe / "local/path.sh").unlink()
    before = snapshot(checkout)
    with pytest.raises(tool.Failure) as error:
        tool.export(project, "europarl", checkout)
    told = str(error.value)
    for fault in (
        f"egs2/europarl/samu_st1/run.sh:{number}: absolute path /home/me/europarl",
        "egs2/europarl/samu_st1/cmd.sh is not the default",
        "egs2/europarl/samu_st1/utils must be a link to ../../TEMPLATE/asr1/utils",
        "egs2/europarl/samu_st1/RESULTS.md is missing, or unknown to git",
        "egs2/europarl/samu_st1/conf/pbs.conf is missing, or unknown to git",
        "egs2/europarl/samu_st1/words.txt is larger than 1 MB",
        "egs2/europarl/samu_st1/conf has no train*.yaml",
        "egs2/europarl/samu_st1/local/path.sh is known to git, but gone",
        "egs2/europarl/samu_st1/USE.md:1: a target of this project: make -C ",
        "egs2/europarl/samu_st1/USE.md:2: ../cmd.sh is not there in ESPnet",
    ):
        assert fault in told
    assert told.count("USE.md:2:") == 1
    assert snapshot(checkout) == before


def test_folders_that_are_not_what_they_should_be(checkout, tmp_path):
    with pytest.raises(tool.Failure, match="is no checkout of ESPnet: it has no egs2"):
        tool.export(ROOT, "europarl", tmp_path)
    with pytest.raises(tool.Failure, match="egs2/nothing/samu_st1 is no recipe"):
        tool.export(ROOT, "nothing", checkout)


def test_a_row_of_another_task_stays():
    readme = HEADER + "| europarl | A | ASR | ENG | u | |\n"
    row = "| europarl | B | ST | ENG | u | |"
    once = tool.with_row(readme, row)
    assert once == readme + row + "\n"
    assert tool.with_row(once, row) == once
    with pytest.raises(tool.Failure, match="has no table"):
        tool.with_row("# egs2\n", row)
