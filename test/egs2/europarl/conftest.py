"""Small trees in the layout of Europarl-ST v1.1."""

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

RECIPE = Path(__file__).parents[3] / "egs2" / "europarl" / "samu_st1"
sys.path.insert(0, str(RECIPE / "local"))

RATE = 16_000
SECONDS = 3  # of each recording
LANGS = ("de", "en", "fr")


class Tree:
    """A copy of the corpus that is written line by line.

    Args:
        root: The folder v1.1.
    """

    def __init__(self, root):
        self.root = root

    def folder(self, direction, split):
        """The folder of a split; direction: de-en."""
        return self.root.joinpath(*direction.split("-"), split)

    def append(self, direction, split, name, line):
        """Append a line to a file of a split."""
        path = self.folder(direction, split) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", newline="") as out:
            out.write(f"{line}\n")

    def replace(self, direction, split, name, old, new):
        """Replace what stands once in a file of a split."""
        path = self.folder(direction, split) / name
        content = path.read_text("utf-8")
        assert content.count(old) == 1
        path.write_text(content.replace(old, new), "utf-8")

    def speech(self, direction, split, speech, speaker="EUmember_1", audio=True):
        """Add a speech, and its recording if there is none."""
        self.append(direction, split, "speeches.lst", speech)
        self.append(direction, split, "speakers.lst", speaker)
        path = self.root / direction[:2] / "audios" / f"{speech}.flac"
        if audio and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            rng = np.random.default_rng(len(list(path.parent.iterdir())))
            samples = rng.integers(-9999, 9999, SECONDS * RATE, dtype=np.int16)
            soundfile.write(path, samples, RATE)

    def segment(self, direction, split, speech, start, end, said=None, written=None):
        """Add a segment; its texts say where it comes from."""
        src, tgt = direction.split("-")
        if said is None:
            said = f"{src} {speech} {start}"
        if written is None:
            written = f"{tgt} of {src} {speech} {start}"
        self.append(direction, split, "segments.lst", f"{speech} {start} {end}")
        self.append(direction, split, f"segments.{src}", said)
        self.append(direction, split, f"segments.{tgt}", written)


def directions(langs=LANGS):
    """All directions of some languages."""
    return [f"{src}-{tgt}" for src in langs for tgt in langs if src != tgt]


def fill(tree):
    """Add de, en and fr: in each direction 4 train, 1 noisy, 2 dev and 2 test segments.

    All directions of a language share its speeches and their times.
    """
    for direction in directions():
        for split, speeches in {
            "train": ("train.0", "train.1"),
            "train-noisy": ("noisy.0",),
            "dev": ("dev.0",),
            "test": ("test.0",),
        }.items():
            for number, speech in enumerate(speeches):
                tree.speech(direction, split, speech, f"EUmember_{number}")
                tree.segment(direction, split, speech, 0.5, 1.25)
                if split != "train-noisy":
                    tree.segment(direction, split, speech, 1.25, 2.5)


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
def prepare(tree, data):
    """Return a function that prepares the tree and returns exit status and message."""
    import prepare_europarl

    def prepare(*options, langs="de,en,fr", root=None):
        command = ["--root", str(root or tree.root), "--output_dir", str(data)]
        command += ["--samu_langs", langs, "--src_langs", langs]
        return prepare_europarl.main([*command, *options])

    return prepare


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
