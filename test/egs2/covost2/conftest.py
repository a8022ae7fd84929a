"""The small corpus of the package's tests."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
RECIPE = ROOT / "egs2" / "covost2" / "samu_st1"
sys.path.insert(0, str(ROOT / "test" / "espnet_samu" / "corpora"))


@pytest.fixture
def corpus(tmp_path):
    """Folders of Common Voice and CoVoST-2: fr, sv-SE, cs and en, with faults."""
    from covost2_tree import make_corpus, make_mp3

    return make_corpus(tmp_path, make_mp3())
