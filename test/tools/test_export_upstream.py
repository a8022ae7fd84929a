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
    wanted = tool.exported(ROOT, corpus, "all")
    assert set(wanted) <= set(written)
    for path in wanted:
        there = checkout / path
        assert there.exists(), f"{path} leads nowhere"
        assert there.is_symlink() == (ROOT / path).is_symlink()
        if path.suffix == ".md":
            assert "here only" not in there.read_text()
    configs = {path.name for path in wanted if path.match(f"{recipe}/conf/*/*.yaml")}
    assert configs <= {"train_st_many.yaml"}
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
    (recipe / "conf/train.yaml").unlink()
    (checkout / "tools").mkdir()
    (recipe / "USE.md").write_text(
        "make -C ../../../tools setup\n"
        "<!-- here only -->\nmake -C tools lint\n<!-- /here only -->\n"
        "[there](../../TEMPLATE/samu_st1/README.md#a) exp/.../valid.pth ../cmd.sh\n"
        "| [gone](conf/tuning/train_st_nllb.yaml) test/egs2/europarl/smoke.sh |\n"
        "| [gone](conf/tuning/train_st_nllb.yaml) <!-- here only --> |\n"
        "# A *first* one\n[a](#a-first-one) [b](#b) [c](README.md#scenarios)\n"
        "[d](../../TEMPLATE/samu_st1/README.md#translate-on-a-page)\n"
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
        "egs2/europarl/samu_st1/words.txt is larger than 500 KB",
        "egs2/europarl/samu_st1/conf/train.yaml is missing, or unknown to git",
        "egs2/europarl/samu_st1/local/path.sh is known to git, but gone",
        "egs2/europarl/samu_st1/USE.md:1: of this project: make -C ../../../tools",
        "egs2/europarl/samu_st1/USE.md:2: ../cmd.sh is not there in ESPnet",
        "USE.md:3: conf/tuning/train_st_nllb.yaml is not there in ESPnet",
        "USE.md:3: of this project: test/egs2/europarl/smoke.sh",
        "USE.md:5: #b: no such heading",
        "USE.md:6: ../../TEMPLATE/samu_st1/README.md#translate-on-a-page: no such head",
    ):
        assert fault in told
    assert [told.count(f"USE.md:{n}:") for n in range(1, 7)] == [1, 2, 2, 0, 1, 1]
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


def test_a_row_goes_where_its_name_belongs():
    """ESPnet's own table is not in order everywhere."""
    names = ["an4", "galaxy", "chime4", "mini_an4", "must_c", "librispeech", "zeroth"]
    readme = HEADER + "".join(f"| {name} | A | ASR | ENG | u | |\n" for name in names)
    for name, before in (("europarl", "galaxy"), ("mini_b", "must_c"), ("aa", "an4")):
        text = tool.with_row(readme, f"| {name} | B | ST | ENG | u | |")
        rows = [line.split(" | ")[0][2:] for line in text.splitlines()[2:]]
        assert rows[rows.index(name) + 1] == before
        assert [row for row in rows if row != name] == names


@pytest.mark.parametrize("corpus", ["covost2", "europarl"])
@pytest.mark.parametrize("part", ["template", "recipe"])
def test_a_part_is_a_pull_request_that_espnet_takes(corpus, part):
    files, lines = tool.size(ROOT, corpus, part)
    assert 0 < files <= 30 and 0 < lines < 1500
    text = tool.pull_request(ROOT, corpus, part, "ran")
    assert f"{part}: {files} files (at most 30), {lines:,} lines" in text
    assert ("| not run: needs " in text) == (part == "recipe")
    assert "{" not in text


def test_parts_are_written_one_after_the_other(checkout):
    template = tool.export(ROOT, "europarl", checkout, "template")
    assert {path.parts[:3] for path in template} == {("egs2", "TEMPLATE", "samu_st1")}
    assert len(template) == tool.size(ROOT, "europarl", "template")[0]
    recipe = tool.export(ROOT, "europarl", checkout, "recipe")
    assert len(recipe) == tool.size(ROOT, "europarl", "recipe")[0]
    assert tool.export(ROOT, "europarl", checkout) == []


def test_the_copy_of_espnet_here_is_none(monkeypatch):
    monkeypatch.chdir(ROOT / "tools")
    with pytest.raises(tool.Failure, match="espnet is .*tools/espnet, of this project"):
        tool.export(ROOT, "europarl", Path("espnet"))


def test_the_embedded_corpus_is_not_for_upstream(checkout):
    with pytest.raises(
        tool.Failure, match="mini_asterisk is not for upstream: 11.7 MB"
    ):
        tool.export(ROOT, "mini_asterisk", checkout)


def test_what_a_formatter_or_an_earlier_version_wrote_is_brought_up_to_date(
    checkout, project
):
    """Another's change is kept, in test_other_versions_are_kept."""
    recipe = project / "egs2/europarl/samu_st1"
    (recipe / "local/count.py").write_text("import sys\n\nfrom a import c, b\n")
    git = ["git", "-C", project, "-c", "user.name=A", "-c", "user.email=a@b.c"]
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "old"], check=True)
    tool.export(project, "europarl", checkout)
    there = checkout / "egs2/europarl/samu_st1"
    (there / "local/count.py").write_text("from a import b, c\nimport sys\n")
    run_sh = (recipe / "run.sh").read_text()
    (recipe / "run.sh").write_text(run_sh.replace("nj 4", "nj 8"))
    (there / "README.md").write_text((there / "README.md").read_text() + " \n\n")
    written = tool.export(project, "europarl", checkout)
    names = ("README.md", "local/count.py", "run.sh")
    assert sorted(written) == [Path("egs2/europarl/samu_st1", name) for name in names]
    assert "nj 8" in (there / "run.sh").read_text()
    (there / "local/count.py").write_text("from a import b, d\nimport sys\n")
    with pytest.raises(tool.Failure, match="other versions of .*/local/count.py;"):
        tool.export(project, "europarl", checkout)
