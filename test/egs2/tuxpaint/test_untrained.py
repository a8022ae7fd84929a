"""What the study compares with that needs no training, and its other readers."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from espnet_samu.utils.kaldi_io import read_text, write_text, write_vectors

LOCAL = Path(__file__).parents[3] / "egs2" / "tuxpaint" / "samu_st1" / "local"
ENGLISH = {"t1": "A cat.", "t2": "A dog.", "t3": "A dog."}
CONCEPTS = {"k1": "A cat.", "k2": "A dog.", "k3": "A fox."}
UTTERANCES = {"u1": "be", "u2": "ca", "u3": "ca"}
REFERENCES = {"u1": "A cat.", "u2": "A dog.", "u3": "A fox."}
VECTORS = dict(zip(CONCEPTS, np.eye(3, dtype=np.float32)))
# The transcript of u2 is nearest to a cat; a fox is nobody's translation in training.
SAID = {"u1": [9, 1, 1], "u2": [5, 4, 1], "u3": [0, 2, 3]}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A folder with a training set, one test set and what the study has of both."""
    raw, study = tmp_path / "dump" / "raw", tmp_path / "exp" / "study"
    write_text(raw / "train" / "text.tc.en", ENGLISH)
    write_text(raw / "test_seen" / "utt2lang", UTTERANCES)
    write_text(raw / "test_seen" / "text.tc.en", REFERENCES)
    write_text(raw / "test_seen" / "text.tc.multi", {u: f"({u})" for u in UTTERANCES})
    write_text(study / "concepts" / "text", CONCEPTS)
    write_vectors(study / "concepts", VECTORS.items())
    said = {utt: np.array(x, np.float32) for utt, x in SAID.items()}
    write_vectors(study / "teacher_e5" / "test_seen", said.items())
    return tmp_path


def translate(recipe: Path, system: str, seed: int = 1) -> dict[str, str]:
    """Run the program; return its translations."""
    folder = recipe / system / f"seed{seed}"
    command = [sys.executable, str(LOCAL / "untrained.py"), "--system", system]
    command += ["--sets", "test_seen", "--seed", str(seed), "--output_dir", str(folder)]
    result = subprocess.run(command, cwd=recipe, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return read_text(folder / "text")


@pytest.mark.timeout(60)
def test_ceiling(recipe: Path) -> None:
    """The nearest sentence of the training set; R@1 among all concepts."""
    expected = {"u1": "A cat.", "u2": "A cat.", "u3": "A dog."}
    assert translate(recipe, "transcripts") == expected
    folder = recipe / "transcripts" / "seed1" / "test_seen"
    scores = json.loads((folder / "english" / "retrieval.json").read_text())["scores"]
    r1 = {s["lang"]: s["r1"] for s in scores if s["direction"] == "speech-text"}
    assert (r1["be"], r1["ca"]) == (1.0, 0.5)
    assert (folder / "retrieval.json").exists()
    # Nothing is drawn, so that another seed is a copy.
    (recipe / "exp" / "study" / "concepts" / "text").unlink()
    assert translate(recipe, "transcripts", 2) == expected


@pytest.mark.timeout(60)
def test_floors(recipe: Path) -> None:
    assert translate(recipe, "frequent") == dict.fromkeys(UTTERANCES, "A dog.")
    drawn = translate(recipe, "random", 3)
    assert {*drawn} == {*UTTERANCES} and {*drawn.values()} <= {*ENGLISH.values()}


def test_other_readers(tmp_path: Path) -> None:
    audio = tmp_path / "prompts" / "audio" / "it" / "it_someone" / "dir_menu.ogg"
    audio.parent.mkdir(parents=True)
    audio.write_bytes(b"")
    rows = ["# a comment", "language\tunit\ttext\tpackaged\tnote"]
    rows += ["en\tdir/menu\tx\tThe  menu.\t", "it\tdir/menu\ty\tIl menu.\t"]
    (tmp_path / "list.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    command = [sys.executable, str(LOCAL / "voices.py"), "--prompt_list", "list.tsv"]
    command += ["--output", "voices.tsv", "--prompts"]
    options = {"cwd": tmp_path, "capture_output": True, "text": True}
    result = subprocess.run([*command, "prompts"], **options)
    assert result.stdout == "voices: 1 utterances (it)\n", result.stderr
    with (tmp_path / "voices.tsv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
    assert row == {
        "id": "it_voice_dir_menu",
        "audio": str(audio),
        "language": "it",
        "transcript": "Il menu.",
        "translation": "The menu.",
        "target_language": "en",
        "speaker": "it_someone",
    }
    result = subprocess.run([*command, "list.tsv"], **options)
    assert (
        result.returncode == 1 and "has no audio/<language>/<reader>" in result.stderr
    )
