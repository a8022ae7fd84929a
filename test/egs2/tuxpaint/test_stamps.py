"""The manifests of Tux Paint's stamps, on a small tree with faults."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

RECIPE = Path(__file__).parents[3] / "egs2" / "tuxpaint" / "samu_st1"
STAMPS = RECIPE / "local" / "stamps.py"
# Of 40 concepts: 82 to 87 are for development, from 88 on for test_held.
NUMBERS = range(40)


def make_stamp(folder: Path, name: str, text: str | bytes, *languages: str) -> None:
    """Write a stamp with recordings of 0.1 s; "en" has no language in its name."""
    path = folder / f"{name}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    wave = np.random.default_rng(0).normal(0, 0.1, 1600)
    for language in languages:
        end = "" if language == "en" else f"_{language}"
        soundfile.write(path.with_name(f"{path.stem}_desc{end}.ogg"), wave, 16000)


@pytest.fixture(scope="module")
def stamps(tmp_path_factory) -> Path:
    """Folder of stamps; all of them spoken in Spanish and Catalan."""
    folder = tmp_path_factory.mktemp("stamps")
    for n in NUMBERS:
        text = f"Picture {n}.\nes.utf8=Imagen  {n}.\r\nca.utf8=Imatge {n}.\n"
        make_stamp(folder, f"animals/bird-{n}", text, "es", "ca", "nl")
    text = "A fish.\nda.utf8=En fisk.\n"
    make_stamp(folder, "animals/fish", text, "en", "da", "nl")
    text = "Picture 3.\nes.utf8=Imagen.\nca.utf8=Imatge.\n"
    make_stamp(folder, "plants/again", text, "es")
    make_stamp(folder, "plants/silent", "Moss.\nes.utf8=Musgo.\n", "ca")
    make_stamp(folder, "plants/none", "\nes.utf8=Nada.\n", "es")
    make_stamp(folder, "plants/cut", "A tree.\nes.utf8=Un árbol.\n", "es")
    (folder / "plants/cut_desc_es.ogg").write_bytes(b"OggS")
    make_stamp(folder, "plants/long", "A forest.\nes.utf8=Un bosque.\n", "es")
    wave = np.zeros(9 * 16000)
    soundfile.write(folder / "plants/long_desc_es.ogg", wave, 16000)
    return folder


def run(stamps: Path, output: Path, *options: str) -> subprocess.CompletedProcess:
    """Run the program."""
    command = [sys.executable, str(STAMPS), "--stamps", str(stamps)]
    return subprocess.run(
        [*command, "--output_dir", str(output), *options],
        capture_output=True,
        text=True,
    )


def read(path: Path) -> list[dict[str, str]]:
    """Return the rows of a tab-separated file."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def test_sets(stamps: Path, tmp_path: Path) -> None:
    result = run(stamps, tmp_path)
    assert result.returncode == 0, result.stderr
    sets = {path.stem: read(path) for path in tmp_path.glob("*.tsv")}
    dropped = sets.pop("dropped")
    found = {
        name: {(row["language"], row["transcript"].split()[-1]) for row in rows}
        for name, rows in sets.items()
    }
    ids = [row["id"] for name in ("samu_train", "samu_dev") for row in sets[name]]
    assert len(ids) == len(set(ids))
    # Each concept is in one part, the same in both languages.
    held, other = (
        {n for lang, n in found[name] if lang == "es"}
        for name in ("test_held", "samu_dev")
    )
    assert held and other and not held & other
    assert found["test_held"] == {(x, n) for x in ("es", "ca") for n in held}
    assert found["samu_dev"] == {(x, n) for x in ("es", "ca") for n in other}
    training = {f"{n}." for n in NUMBERS} - held - other
    # Known concepts, which training has not heard in this language.
    dev = {n for _, n in found["dev"]}
    assert dev and found["dev"] == {("es", n) for n in dev}
    assert found["train"] == {("es", n) for n in training - dev}
    # What Catalan has not been heard in is translated from Spanish in training.
    seen = {n for _, n in found["test_seen"]}
    assert seen and found["test_seen"] == {("ca", n) for n in seen}
    assert found["samu_train"] == found["train"] | {("ca", n) for n in training - seen}
    assert found["test_unheard"] == {("en", "fish."), ("da", "fisk.")}
    assert {row["translation"] for row in sets["test_unheard"]} == {"A fish."}

    (row,) = (r for r in sets["train"] if r["id"] == "es_animals_bird_0")
    assert row == {
        "id": "es_animals_bird_0",
        "audio": str(stamps / "animals/bird-0_desc_es.ogg"),
        "language": "es",
        "transcript": "Imagen 0.",
        "translation": "Picture 0.",
        "target_language": "en",
        "speaker": "tuxpaint_es",
    }
    assert {
        r["translation"] for name in sets if "samu" in name for r in sets[name]
    } == {""}
    assert {Path(row["audio"]).name: row["reason"] for row in dropped} == {
        "again_desc_es.ogg": "another stamp has the same description in English",
        "silent_desc_ca.ogg": "no description in its language",
        "none_desc_es.ogg": "no description in English",
        "cut_desc_es.ogg": dropped[1]["reason"],
        "long_desc_es.ogg": "longer than 8 s",
    }
    assert dropped[1]["reason"].startswith("cannot be read: ")
    assert f"train: {len(sets['train'])} utterances (es {len(sets['train'])})\n" in (
        result.stdout
    )
    assert "left out: 1 recordings, longer than 8 s\n" in result.stdout


def test_mistakes(stamps: Path, tmp_path: Path) -> None:
    """One line each, and nothing is written."""
    output = tmp_path / "out"
    result = run(stamps, output, "--samu_langs", "ca es")
    assert result.returncode == 1
    assert "es: one of --st_langs, --samu_langs and --unheard_langs?" in result.stderr
    (tmp_path / "empty").mkdir()
    result = run(tmp_path / "empty", output)
    assert result.returncode == 1 and "has no recordings NAME_desc_" in result.stderr
    make_stamp(
        tmp_path / "latin", "x", "Tree.\nes.utf8=Árbol\n".encode("latin-1"), "es"
    )
    result = run(tmp_path / "latin", output)
    assert result.returncode == 1 and "x.txt is not UTF-8" in result.stderr
    assert not output.exists()
