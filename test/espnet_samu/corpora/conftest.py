"""Small corpora in the layouts of CoVoST-2 and Europarl-ST, and their preparation."""

import json
from pathlib import Path

import pytest

from espnet_samu.bin import prepare as command
from espnet_samu.utils.command import run

from .covost2_tree import make_corpus, make_mp3
from .covost2_tree import write_clips as write
from .europarl_st_tree import Tree, fill

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def mp3():
    """Bytes of an mp3 file: 0.3 s of 440 Hz, 48 kHz, one channel."""
    return make_mp3()


@pytest.fixture
def write_clips(mp3):
    """Function that writes clips of the numbers given."""
    return lambda folder, lang, numbers: write(folder, lang, numbers, mp3)


@pytest.fixture
def corpus(tmp_path, mp3):
    """Folders of Common Voice and CoVoST-2: fr, sv-SE, cs and en, with faults."""
    return make_corpus(tmp_path, mp3)


@pytest.fixture
def tree(tmp_path):
    """A copy of Europarl-ST without faults."""
    tree = Tree(tmp_path / "corpus" / "v1.1")
    fill(tree)
    return tree


@pytest.fixture
def data(tmp_path):
    """Where the data directories go."""
    return tmp_path / "data"


@pytest.fixture
def prepare_europarl(tree, data):
    """Return a function that prepares the tree and returns the exit status."""

    def prepare_europarl(*options, langs="de,en,fr", root=None):
        cmd = ["europarl_st", "--root", str(root or tree.root)]
        cmd += ["--output_dir", str(data), "--clips_dir", str(data.parent / "clips")]
        cmd += ["--samu_langs", langs, "--src_langs", langs]
        with pytest.raises(SystemExit) as end:
            run(command.main, [*cmd, *options])
        return end.value.code

    return prepare_europarl


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
        split, _, direction = name.rpartition(".")
        content = json.loads((data / "local" / tag / "counts.json").read_text())
        (row,) = (
            row
            for row in content["sets"]
            if (row["split"], row["set"]) == (split or "-", direction)
        )
        reasons = {**row["dropped"], **row.get("changed", {})}
        return row["listed"], row["kept"], reasons

    return counts


def read(path):
    """Read lines of ``key value``."""
    lines = path.read_text("utf-8").split("\n")[:-1]
    return dict(line.split(" ", 1) for line in lines)


@pytest.fixture(scope="session", name="read")
def read_fixture():
    """The function above."""
    return read


def tables(text):
    """Read the tables of counts.md: rows by column title."""
    found = []
    for part in text.split("\n\n"):
        lines = [line for line in part.splitlines() if line.startswith("|")]
        cells = [[c.strip() for c in line.strip("| ").split(" | ")] for line in lines]
        if cells:
            found.append([dict(zip(cells[0], row)) for row in cells[2:]])
    return found


@pytest.fixture(scope="session", name="tables")
def tables_fixture():
    """The function above."""
    return tables
