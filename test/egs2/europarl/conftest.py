"""The recipe, and the small corpus of the package's tests."""

import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
RECIPE = ROOT / "egs2" / "europarl" / "samu_st1"
sys.path.insert(0, str(ROOT / "test" / "espnet_samu" / "corpora"))


@pytest.fixture
def tree(tmp_path):
    """A corpus without faults."""
    from europarl_st_tree import Tree, fill

    tree = Tree(tmp_path / "corpus" / "v1.1")
    fill(tree)
    return tree


@pytest.fixture
def recipe(tmp_path):
    """A copy of the recipe in a checkout of its own."""
    recipe = tmp_path / "egs2" / "europarl" / "samu_st1"
    ignored = shutil.ignore_patterns("data", "dump", "exp", "__pycache__")
    shutil.copytree(RECIPE, recipe, symlinks=True, ignore=ignored)
    (tmp_path / "egs2" / "TEMPLATE").symlink_to(ROOT / "egs2" / "TEMPLATE")
    (tmp_path / "tools").symlink_to(ROOT / "tools")
    return recipe


@pytest.fixture(scope="session")
def read():
    """Function that reads lines of ``key value``."""

    def read(path):
        lines = path.read_text("utf-8").split("\n")[:-1]
        return dict(line.split(" ", 1) for line in lines)

    return read
