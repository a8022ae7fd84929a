"""Data sets of the study: what is left, what is shuffled, what is joined."""

import sys
from pathlib import Path

import pytest

from espnet_samu.utils.kaldi_io import read_text, write_text

RECIPE = Path(__file__).parents[3] / "egs2" / "mini_asterisk" / "samu_st1"
sys.path.insert(0, str(RECIPE / "local"))

import study_data  # noqa: E402

LANGS = ("es", "it")
SIZE = 20


def utterances(split: str, langs: tuple[str, ...] = LANGS) -> list[str]:
    return [f"{lang}_x-{split}-{i:05}" for lang in langs for i in range(SIZE)]


def make_set(folder: Path, split: str, langs: tuple[str, ...] = LANGS) -> None:
    utts = utterances(split, langs)
    words = {utt: f"{utt[:2]} {split} {utt[-2:]}" for utt in utts}
    for name, table in {
        "wav.scp": {utt: f"{utt}.flac" for utt in utts},
        "utt2lang": {utt: utt[:2] for utt in utts},
        "utt2spk": {utt: utt.split("-")[0] for utt in utts},
        "utt2num_samples": {utt: str(1000 + i) for i, utt in enumerate(utts)},
        "text.tc.multi": words,
    }.items():
        write_text(folder / name, table)
    (folder / "made_from.json").write_text('{\n  "inputs": {}\n}\n')


@pytest.fixture()
def recipe(tmp_path: Path, monkeypatch) -> Path:
    """Data of two languages, 20 utterances each, as the folder of the process."""
    for root in ("data", "dump/raw"):
        make_set(tmp_path / root / "samu_train", "train")
        make_set(tmp_path / root / "samu_dev", "dev")
        make_set(tmp_path / root / "dev", "dev", ("es",))
    dev = {utt: f"english dev {utt[-2:]}" for utt in utterances("dev", ("es",))}
    write_text(tmp_path / "data" / "dev" / "text.tc.en", dev)
    lines = ["lang\ttext\tenglish"]
    for utt in utterances("train"):
        text = f"{utt[:2]} train {utt[-2:]}"
        lines.append(f"{utt[:2]}\t{text}\tenglish {utt[-2:]}")
    (tmp_path / "data" / "bitext").mkdir()
    (tmp_path / "data" / "bitext" / "bitext.tsv").write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(name: str, *options: str) -> None:
    study_data.main(["--name", name, *options])


def test_share_of_a_language_is_left_in_training_alone(recipe: Path):
    make("p", "--keep", "it=0.1", "--seed", "1")
    for root in ("data", "dump/raw"):
        langs = [*read_text(Path(root) / "p" / "train" / "utt2lang").values()]
        assert (langs.count("es"), langs.count("it")) == (SIZE, 2)
        assert len(read_text(Path(root) / "p" / "dev" / "wav.scp")) == 2 * SIZE
    train = Path("dump/raw/p/train")
    utts = list(read_text(train / "wav.scp"))
    assert utts == sorted(utts)
    for name in ("text.tc.multi", "utt2num_samples", "utt2spk"):
        assert list(read_text(train / name)) == utts
    assert read_text(train / "spk2utt")["it_x"].split() == utts[-2:]
    assert (train / "feats_type").read_text() == "raw\n"


def test_smaller_share_is_part_of_a_larger_one_and_the_seed_chooses(recipe: Path):
    chosen = {}
    for name, share, seed in (("a", 0.1, 1), ("b", 0.3, 1), ("c", 0.3, 2)):
        make(name, "--keep", f"it={share}", "--seed", str(seed))
        chosen[name] = set(read_text(Path("data") / name / "train" / "wav.scp"))
    assert chosen["a"] < chosen["b"]
    assert len(chosen["b"]) == len(chosen["c"]) and chosen["b"] != chosen["c"]


def test_languages_that_are_left_are_left_in_both_sets(recipe: Path):
    make("p", "--languages", "es")
    for split in ("train", "dev"):
        langs = read_text(Path("dump/raw/p") / split / "utt2lang").values()
        assert set(langs) == {"es"}
    with pytest.raises(ValueError, match=r"languages must be of .*: \['de'\]"):
        make("p", "--languages", "de")


def test_shuffled_transcripts_are_others_of_the_same_language(recipe: Path):
    make("p", "--shuffle", "true", "--seed", "3")
    before = read_text("data/samu_train/text.tc.multi")
    after = read_text("data/p/train/text.tc.multi")
    assert after == read_text("dump/raw/p/train/text.tc.multi")
    assert sorted(after.values()) == sorted(before.values())
    for utt, text in after.items():
        assert text != before[utt] and text[:2] == utt[:2]
    assert read_text("data/p/dev/text.tc.multi") == read_text(
        "data/samu_dev/text.tc.multi"
    )
    make("q", "--shuffle", "true", "--seed", "3")
    assert read_text("data/q/train/text.tc.multi") == after
    make("q", "--shuffle", "true", "--seed", "4")
    assert read_text("data/q/train/text.tc.multi") != after


def test_translations_are_those_of_the_transcripts_in_all_languages(recipe: Path):
    make("p", "--translate", "true")
    train = read_text("dump/raw/p/train/text.tc.en")
    assert train == {u: f"english {u[-2:]}" for u in sorted(utterances("train"))}
    dev = read_text("dump/raw/p/dev/text.tc.en")
    assert dev == {u: f"english dev {u[-2:]}" for u in sorted(utterances("dev"))}


def test_transcript_without_a_translation_is_named(recipe: Path):
    path = recipe / "data" / "bitext" / "bitext.tsv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(ValueError, match="no English of .*it train 19"):
        make("p", "--translate", "true")
    assert not Path("data/p/train").exists()


def test_joined_set_has_all_utterances_and_the_files_of_all(recipe: Path):
    write_text("dump/raw/samu_dev/only_here", {u: "x" for u in utterances("dev")})
    make("study/all", "--join", "samu_train samu_dev")
    joined = Path("dump/raw/study/all")
    assert set(read_text(joined / "wav.scp")) == {
        *utterances("train"),
        *utterances("dev"),
    }
    assert not (joined / "only_here").exists()
    with pytest.raises(ValueError, match="must have different ids"):
        make("study/all", "--join", "samu_dev dev")
