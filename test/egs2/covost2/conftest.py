"""The small corpus of tree.py, and the recipe's own modules."""

import sys
from pathlib import Path

import pytest

from .tree import make_corpus, make_mp3
from .tree import write_clips as write

ROOT = Path(__file__).parents[3]
RECIPE = ROOT / "egs2" / "covost2" / "samu_st1"
sys.path.insert(0, str(RECIPE / "local"))


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
