"""FLEURS: both layouts, its sets, and what can be wrong."""

import json
import shutil

import pyarrow.parquet as pq
import pytest

from espnet_samu.bin import prepare as command_line
from espnet_samu.corpora import fleurs_reader, parquet
from espnet_samu.utils.command import run
from espnet_samu.utils.language_codes import parse_code

from .conftest import read
from .fleurs_tree import FOLDERS, make_corpus


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Both layouts with faults, which no test changes."""
    return make_corpus(tmp_path_factory.mktemp("fleurs"))


@pytest.fixture
def corpus(made, tmp_path):
    """A copy of the original layout, and of the parquet files."""
    return [shutil.copytree(folder, tmp_path / folder.name) for folder in made]


@pytest.fixture
def prepare(tmp_path):
    """Function that prepares a corpus; returns the folder of the sets."""

    def prepare(folder, *options, data="data", clips="clips"):
        command = ["fleurs", "--fleurs", folder, "--output_dir", tmp_path / data]
        command += ["--clips_dir", tmp_path / clips, "--nj", 2, *options]
        command_line.main([str(part) for part in command])
        return tmp_path / data

    return prepare


@pytest.fixture
def refuse(prepare, capsys):
    """Function that returns the error of a preparation."""

    def refuse(*options):
        with pytest.raises(SystemExit) as end:
            run(lambda _: prepare(*options), [])
        assert end.value.code == 1
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith("Error: ")
        return error

    return refuse


def content(folder):
    """Return what is in the files of a data directory."""
    return {file.name: file.read_text() for file in folder.glob("[!.]*")}


def test_both_layouts_give_the_same_sets(prepare, made):
    tsv, shards = made
    expected = prepare(tsv, data="of_tsv")
    found = prepare(shards)
    names = sorted(f.name for f in expected.iterdir() if f.name != "local")
    assert names == sorted(f.name for f in found.iterdir() if f.name != "local")
    assert " ".join(names) == (
        "dev.x2en nway.x2en samu_dev samu_train test.x2en train.x2en"
    )
    for name in names:
        assert content(found / name) == content(expected / name), name
    work = [data / "local" / "x2en" for data in (expected, found)]
    for name in ("counts.json", "languages.tsv"):
        assert (work[0] / name).read_text() == (work[1] / name).read_text()


def test_translations(prepare, made):
    data = prepare(made[0])
    test = {
        name: read(data / "test.x2en" / name) for name in content(data / "test.x2en")
    }
    langs = list(test["utt2lang"].values())
    assert {lang: langs.count(lang) for lang in set(langs)} == {
        "fr": 6,
        "es": 6,
        "zh-CN": 5,
    }
    assert set(test["utt2tgt_lang"].values()) == {"en"}
    assert test["utt2spk"] == {utt: utt for utt in test["utt2lang"]}
    said = {
        test["text.tc.multi"][utt]: test["text.tc.x2en"][utt]
        for utt in test["utt2lang"]
    }
    assert said["Le train 33 part « enfin »."] == "The train 33 leaves."
    assert said['El "tren" 21 sale.'] == "The train 21 leaves."  # of English dev
    assert said["火车30出发。"] == "The train 30 leaves."
    # Two speakers of one sentence are two utterances.
    assert sum(utt.startswith("zh-CN-30-") for utt in test["utt2lang"]) == 2
    nway = read(data / "nway.x2en" / "utt2lang")
    assert {*test["utt2lang"]} < {*nway} and "en" in nway.values()
    english = read(data / "nway.x2en" / "text.tc.x2en")
    same = read(data / "nway.x2en" / "text.tc.multi")
    assert all(english[utt] == "The train 33 leaves." for utt in nway if "-33-" in utt)
    assert [same[utt] for utt in nway if utt.startswith("en-33-")] == [
        "The train 33 leaves.",
        "The train 33 is leaving.",
    ]


def test_the_distillation_has_no_sentence_of_dev_and_test(prepare, made):
    data = prepare(made[0])
    train = read(data / "samu_train" / "text.tc.multi")
    numbers = {utt.rpartition("-")[0] for utt in train}
    langs = ("en", "fr", "es", "zh-CN")
    # 30 is one of the test split, and 18 says what 33 does.
    assert numbers == {f"{lang}-{n}" for lang in langs for n in range(10, 18)}
    translated = read(data / "train.x2en" / "utt2lang")
    assert [utt.rpartition("-")[0] for utt in translated if "test" in utt] == ["fr-30"]
    dev = read(data / "samu_dev" / "utt2lang")
    # 21 is in the Spanish test split.
    numbers = {utt.rpartition("-")[0] for utt in dev}
    assert numbers == {f"{lang}-{n}" for lang in langs for n in (20, 22, 23)}


def test_counts_and_faults(prepare, made, capsys):
    tsv, _ = made
    work = prepare(tsv) / "local" / "x2en"
    counts = json.loads((work / "counts.json").read_text())
    rows = {(row["set"], row["split"]): row for row in counts["sets"]}
    assert rows["fr", "test"]["listed"] == 13
    assert rows["fr", "test"]["dropped"] == {
        "duplicate recording": 1,
        "empty transcript": 1,
        "missing audio": 1,
        "zero-length audio": 1,
        "cut audio": 1,
        "undecodable audio": 1,
    }
    assert rows["fr", "test"]["kept"] == 7
    assert rows["x2en", "test"]["dropped"] == {"no English sentence": 1}
    assert rows["samu_train", "-"]["dropped"] == {"sentence of a dev or test set": 2}
    faults = (work / "faults.tsv").read_text()
    file = tsv / "fr_fr" / "test.tsv"
    for line in (
        f"fr\t-\tline 14 of test\tnoted\tmalformed line\t{file}\t14",
        f"fr\ttest\tno_text.wav\tdropped\tempty transcript\t{file}\t9",
        f"x2en\ttest\tno_english.wav\tdropped\tno English sentence\t{file}\t8",
    ):
        assert f"{line}\n" in faults
    assert "empty.wav\tdropped\tzero-length audio" in faults
    printed = capsys.readouterr().out
    for note in (
        "14 of 75 recordings share their sentence with another one of the same",
        "sentences that several splits have: es 1, fr 1",
        "recordings that several splits have: fr 1",
        "the corpus has no speaker ids: whether a speaker is in several splits is not",
        "1 English rows have another text than an earlier row of the same sentence",
    ):
        assert f"- {note}" in printed
    lines = [
        line.split("\t") for line in (work / "languages.tsv").read_text().split("\n")
    ]
    assert lines[0][2:] == [
        *("recordings", "sentences", "of a sentence with several"),
        *("female", "male", "other"),
    ]
    assert ["es", "test", "6", "5", "2", "2", "3", "1"] in lines


def test_only_the_test_split(prepare, corpus, monkeypatch):
    tsv, shards = corpus
    expected = prepare(tsv, "--langs", "fr,es", data="of_tsv")
    for split in ("train", "validation"):
        for path in shards.glob(f"[!e]*/{split}-*"):
            path.unlink()
    options = ("--langs", "es fr", "--test_only", "true", "--tag", "x2en")
    found = prepare(shards, *options)
    assert sorted(f.name for f in found.iterdir()) == [
        "local",
        "nway.x2en",
        "test.x2en",
    ]
    for name in ("nway.x2en", "test.x2en"):
        assert content(found / name) == content(expected / name)
    # Nothing is read again; another recording of a shard is decoded alone.
    monkeypatch.setattr(fleurs_reader.Language, "rows", None)
    prepare(shards, *options)
    monkeypatch.undo()
    read_clips, asked = parquet.read_clips, []

    def count(path, rows):
        asked.append((path.parent.name, len(rows)))
        return read_clips(path, rows)

    monkeypatch.setattr(parquet, "read_clips", count)
    path = shards / "es_419" / "test-00000-of-00001.parquet"
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)
    data = prepare(shards, *options)
    assert [lang for lang, _ in asked] == ["es_419"]
    assert len(read(data / "test.x2en" / "utt2lang")) == 11


def test_other_places_and_audio_as_it_is(prepare, corpus, tmp_path):
    tsv, shards = corpus
    expected = prepare(tsv, "--langs", "fr")
    moved = tmp_path / "moved"
    # As the hub's own repository: both layouts, of which the parquet files are taken.
    for path in shards.glob("*_*/*.parquet"):
        split, _, number = path.stem.partition("-")
        place = moved / "parquet-data" / path.parent.name / split / f"{number}.parquet"
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(place)
    (moved / "data" / "fr_fr").mkdir(parents=True)
    found = prepare(moved, "--langs", "fr", data="moved_data")
    for name in ("test.x2en", "samu_train"):
        assert content(found / name) == content(expected / name)
    shutil.rmtree(moved / "parquet-data")
    shutil.rmtree(moved / "data")
    tsv.rename(moved / "data")
    data = prepare(moved, "--langs", "es", "--audio", "stat", data="stat")
    wavs = read(data / "test.x2en" / "wav.scp").values()
    assert all(wav.startswith(f"{moved}/data/es_419/audio/test/") for wav in wavs)


@pytest.mark.parametrize("langs", [["zh-CN", "es"], []])
def test_what_is_asked_of_the_hub(langs, prepare, made, monkeypatch):
    import fnmatch

    asked = []

    def download(name, patterns):
        asked.extend([name, *patterns])
        return made[1]

    monkeypatch.setattr(fleurs_reader, "download_dataset", download)
    prepare("google/fleurs", "--langs", ",".join(langs), "--test_only", "true")
    name, *patterns = asked
    assert name == "google/fleurs"

    def wanted(path):
        return any(fnmatch.fnmatch(path, pattern) for pattern in patterns)

    for below in ("", "data/", "parquet-data/"):
        for end in ("-00000-of-00001.parquet", "/0000.parquet"):
            for lang in ("es_419", "cmn_hans_cn", "en_us"):
                assert wanted(f"{below}{lang}/test{end}")
                assert not wanted(f"{below}{lang}/train{end}")
                assert not wanted(f"{below}{lang}/validation{end}")
            for lang in ("et_ee", "yue_hant_hk"):
                assert wanted(f"{below}{lang}/test{end}") is not bool(langs)
    assert not wanted("data/es_419/audio/test.tar.gz")


def test_codes_of_the_folders():
    codes = {folder: fleurs_reader.language_code(folder) for folder in FOLDERS}
    assert len(FOLDERS) == len({*map(parse_code, codes.values())}) == 102
    for folder, code in codes.items():
        assert parse_code(code).language == parse_code(folder).language
    chosen = ("fr_fr", "es_419", "cmn_hans_cn", "yue_hant_hk")
    assert [codes[name] for name in chosen] == ["fr", "es", "zh-CN", "yue"]
    assert parse_code("zh-CN") == parse_code("cmn_hans_cn")


def test_mistakes(refuse, corpus, tmp_path):
    tsv, shards = corpus
    assert "--fleurs: no folder '/no/where'" in refuse("/no/where")
    assert f"no language in {tmp_path}: neither" in refuse(tmp_path)
    expected = f"--fleurs: no de it in {tsv}: there are en es fr zh-CN"
    assert expected in refuse(tsv, "--langs", "it,de,fr")
    assert f"{tsv} has no language beside English" in refuse(tsv, "--langs", "en")
    assert "parquet files need --audio convert" in refuse(shards, "--audio", "stat")
    shutil.move(tsv / "fr_fr/audio/test", tmp_path / "test")
    expected = f"no folder '{tsv}/fr_fr/audio/test'; unpack test.tar.gz in"
    assert expected in refuse(tsv)
    shutil.move(tmp_path / "test", tsv / "fr_fr/audio/test")
    table = tsv / "fr_fr" / "dev.tsv"
    table.write_bytes(table.read_bytes() + b"\xff\t\n")
    assert f"{table}: not UTF-8" in refuse(tsv)
    table.unlink()
    assert f"{table} is missing; get it" in refuse(tsv)
    shard = shards / "fr_fr" / "validation-00000-of-00001.parquet"
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    assert f"{shard}: cut or damaged" in refuse(shards)
    pq.write_table(pq.read_table(shards / "es_419" / shard.name).drop("gender"), shard)
    assert f"{shard}: no column 'gender'" in refuse(shards)
    shard.unlink()
    assert "no validation-*.parquet; download it" in refuse(shards)
    (shards / "fr_fr").rename(shards / "es_es")
    assert "are both 'es'; leave one" in refuse(shards)
    shutil.rmtree(shards / "es_es")
    shutil.rmtree(shards / "en_us")
    assert "no en in" in refuse(shards)
    assert "whose sentences are the translations" in refuse(shards)


def test_a_set_that_would_be_empty(refuse, corpus):
    tsv, _ = corpus
    for path in tsv.glob("*/test.tsv"):
        path.write_text(path.read_text().replace("\n", " more columns\t\n"))
    assert "test.x2en would be empty; " in refuse(tsv)
    assert not (tsv.parent / "data" / "dev.x2en").exists()
