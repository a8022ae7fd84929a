"""Small trees in the layout of Europarl-ST v1.1."""

import shutil
import sys
from pathlib import Path

import pytest

from espnet_samu.utils.command import run

from .tree import Tree, fill

ROOT = Path(__file__).parents[3]
RECIPE = ROOT / "egs2" / "europarl" / "samu_st1"
sys.path.insert(0, str(RECIPE / "local"))


@pytest.fixture
def tree(tmp_path):
    """A corpus without faults."""
    tree = Tree(tmp_path / "corpus" / "v1.1")
    fill(tree)
    return tree


@pytest.fixture
def data(tmp_path):
    """Where the data directories go."""
    return tmp_path / "data"


@pytest.fixture
def recipe(tmp_path):
    """A copy of the recipe in a checkout of its own."""
    recipe = tmp_path / "egs2" / "europarl" / "samu_st1"
    ignored = shutil.ignore_patterns("data", "dump", "exp", "__pycache__")
    shutil.copytree(RECIPE, recipe, symlinks=True, ignore=ignored)
    (tmp_path / "egs2" / "TEMPLATE").symlink_to(ROOT / "egs2" / "TEMPLATE")
    (tmp_path / "tools").symlink_to(ROOT / "tools")
    return recipe


@pytest.fixture
def prepare(tree, data):
    """Return a function that prepares the tree and returns exit status and message."""
    import prepare_europarl

    def prepare(*options, langs="de,en,fr", root=None):
        command = ["--root", str(root or tree.root), "--output_dir", str(data)]
        command += ["--clips_dir", str(data.parent / "clips")]
        command += ["--samu_langs", langs, "--src_langs", langs]
        with pytest.raises(SystemExit) as end:
            run(prepare_europarl.main, [*command, *options])
        return end.value.code

    return prepare


@pytest.fixture
def stderr(capsys):
    """Return a function that returns what was written to stderr so far."""
    parts = []

    def stderr():
        parts.append(capsys.readouterr().err)
        return "".join(parts)

    return stderr


@pytest.fixture
def counts(data):
    """Return a function that reads (in corpus, kept, {reason: count}) of a set."""

    def counts(name, tag="x2en"):
        lines = (data / "local" / tag / "counts.tsv").read_text("utf-8").splitlines()
        rows = [line.split("\t") for line in lines if line.startswith(f"{name}\t")]
        assert rows, f"no counts of {name}"
        reasons = {row[4]: int(row[5]) for row in rows if row[4] != "-"}
        return int(rows[0][1]), int(rows[0][2]), reasons

    return counts


def read(path):
    """Read lines of ``key value``."""
    lines = path.read_text("utf-8").split("\n")[:-1]
    return dict(line.split(" ", 1) for line in lines)


@pytest.fixture(scope="session", name="read")
def read_fixture():
    """The function above."""
    return read
