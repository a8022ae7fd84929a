"""CoVoST-2 in parquet files: the same sets as of the tree, and what can be wrong."""

import errno
import os
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from espnet_samu.bin import prepare as command_line
from espnet_samu.corpora import covost2_parquet, parquet
from espnet_samu.corpora.common_voice import CommonVoice
from espnet_samu.corpora.covost2_directions import Direction
from espnet_samu.utils.command import run

from .conftest import ROOT
from .covost2_parquet_tree import rows_of, write_parquet, write_shards
from .covost2_tree import RELEASE, client, write_language, write_translations

CONF = ROOT / "egs2" / "covost2" / "samu_st1" / "conf"
FR_EN = Direction("fr", "en")


@pytest.fixture
def shards(corpus, tmp_path):
    """Folder with the directions of the corpus."""
    return write_parquet(*corpus, tmp_path / "parquet")


@pytest.fixture
def prepare(tmp_path):
    """Function that prepares a corpus; returns the folder of the sets."""

    def prepare(*options, data="data", clips="clips", langs="fr,sv-SE", samu="none"):
        command = ["covost2", "--langs", langs, "--samu_langs", samu]
        command += ["--output_dir", tmp_path / data, "--clips_dir", tmp_path / clips]
        command += ["--conf_dir", CONF, "--nj", 2, *options]
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


def test_the_same_sets_as_of_the_tree(prepare, corpus, shards, tmp_path):
    voice, covost2 = corpus
    tree = ("--commonvoice", voice, "--covost2", covost2)
    expected = prepare(*tree, data="of_tree")
    found = prepare("--covost2_parquet", shards, clips="clips")
    sets = sorted(f.name for f in expected.iterdir() if f.name != "local")
    assert sets == sorted(f.name for f in found.iterdir() if f.name != "local")
    assert len(sets) == 9 and "train.fr-en" in sets
    for name in sets:
        assert content(found / name) == content(expected / name), name
        assert "wav.scp" in content(found / name)
    faults = (found / "local/x2en_fr_sv-SE/faults.tsv").read_text()
    for number, reason in ((11, "duplicate clip"), (12, "empty transcript")):
        assert f"fr_{number}.mp3\tdropped\t{reason}\t" in faults
    for number, reason in ((14, "missing"), (15, "zero-length"), (16, "undecodable")):
        assert f"fr_{number}.mp3\tdropped\t{reason} audio" in faults
    assert "fr_13.mp3\tdropped\tempty translation" in faults


def test_the_distillation(prepare, tmp_path, mp3, write_clips):
    """Sentences of dev and test sets are held out of the parquet's own speech."""
    voice, covost2 = tmp_path / "cv", tmp_path / "covost2"
    said = [(n, n, f"Phrase {n}.") for n in range(1, 42)] + [(50, 50, "PHRASE 41")]
    write_language(voice / RELEASE, "fr", said)
    splits = ["train"] * 39 + ["dev", "test"]
    rows = [(n, f"Sentence {n}.", split) for n, split in enumerate(splits, 1)]
    rows.append((50, "Sentence 50.", "train"))
    write_translations(covost2, "fr", "en", rows)
    write_clips(voice / RELEASE, "fr", [*range(1, 42), 50])
    options = {"langs": "fr", "samu": "fr"}
    tree = ("--commonvoice", voice, "--covost2", covost2)
    expected = prepare(*tree, data="of_tree", **options)
    shards = write_parquet(voice, covost2, tmp_path / "parquet")
    found = prepare("--covost2_parquet", shards, **options)
    for name in ("samu_train", "samu_dev"):
        assert content(found / name) == content(expected / name)
    said = [
        content(found / name)["text.tc.multi"] for name in ("samu_train", "samu_dev")
    ]
    assert "41" not in "".join(said) and "Phrase 40" not in "".join(said)
    assert sum(text.count("Phrase") for text in said) == 39


def test_other_speech_for_the_distillation(prepare, shards, tmp_path, mp3):
    """A folder of parquet files with transcripts and recordings, and nothing else."""
    audio = [{"bytes": mp3, "path": f"voice_{n}.mp3"} for n in range(42)]
    said = [f"Věta {n}." for n in range(40)] + ["the TEST!", "Café."]
    (tmp_path / "speech" / "cs").mkdir(parents=True)
    table = pa.table({"audio": audio, "sentence": said})
    pq.write_table(table, tmp_path / "speech" / "cs" / "0000.parquet")
    options = ("--samu_commonvoice", tmp_path / "speech")
    data = prepare("--covost2_parquet", shards, *options, samu="cs")
    wavs = content(data / "samu_train")["wav.scp"].split()[1::2]
    wavs += content(data / "samu_dev")["wav.scp"].split()[1::2]
    names = {f"{tmp_path}/clips/cs/voice_{n}.flac" for n in range(42) if n != 40}
    assert set(wavs) == names and all(map(os.path.isfile, names))
    faults = (data / "local" / "samu_train" / "faults.tsv").read_text()
    assert "voice_40.mp3\tdropped\tsentence of a dev or test set" in faults
    # Half of a corpus is not taken for all of it.
    path = tmp_path / "speech" / "cs" / "train-00001-of-00002.parquet"
    pq.write_table(table, path)
    with pytest.raises(ValueError, match="1 of 2 shards are missing, such as train-00"):
        prepare("--covost2_parquet", shards, *options, samu="cs")
    path.unlink()
    # A direction that is gone holds nothing out any more.
    shutil.rmtree(shards / "en_de")
    prepare("--covost2_parquet", shards, *options, samu="cs")
    assert not (data / "local" / "parquet" / "covost_v2.en_de.tsv").exists()


def test_a_clip_of_several_directions_is_decoded_once(prepare, shards, monkeypatch):
    read = []
    real = parquet.read_clips

    def count(path, rows):
        read.append((path.parent.name, len(rows)))
        return real(path, rows)

    monkeypatch.setattr(parquet, "read_clips", count)
    options = ("--covost2_parquet", shards, "--scenario", "en2x")
    data = prepare(*options, langs="de,sv-SE")
    assert {name for name, _ in read} == {"en_de"} and sum(n for _, n in read) == 8
    wavs = (data / "train.en2x_de_sv-SE" / "wav.scp").read_text().split()[1::2]
    assert len(wavs) == 8 and len({*wavs}) == 4
    # A second run reads no recording, nor does another scenario.
    shutil.rmtree(data)
    prepare(*options, langs="de,sv-SE")
    assert sum(n for _, n in read) == 8


def test_a_changed_shard_is_read_again(prepare, shards, caplog):
    caplog.set_level("INFO")
    prepare("--covost2_parquet", shards)
    path = shards / "sv-SE_en" / "test-00000-of-00001.parquet"
    rows = pq.read_table(path).to_pylist()
    rows[0]["sentence"] = "Mening nummer 4."
    write_shards(path.parent, "test", rows)
    caplog.clear()
    data = prepare("--covost2_parquet", shards)
    assert f"{path} has changed" in caplog.text
    assert content(data / "test.sv-SE-en")["text.tc.sv-SE"].endswith(" nummer 4.\n")
    decoded = [m for m in caplog.messages if m.endswith(" recordings are decoded")]
    assert decoded == ["1 of 4 recordings are decoded"]


def test_another_transcript_of_the_same_clip(prepare, shards, caplog):
    path = shards / "en_sv-SE" / "train-00000-of-00002.parquet"
    rows = pq.read_table(path).to_pylist()
    rows[0]["sentence"] = "Another one."
    write_shards(path.parent, "train", rows)
    path.with_name("train-00001-of-00002.parquet").unlink()
    path.unlink()
    data = prepare("--covost2_parquet", shards)
    assert "en: 1 rows have another transcript than an earlier row" in caplog.text
    said = (data / "local" / "parquet" / "en" / "validated.tsv").read_text()
    assert "Another one." not in said


def test_types_and_layouts(prepare, shards, corpus, tmp_path):
    """Dictionaries of strings, large types, other orders of columns; places."""
    expected = prepare("--covost2_parquet", shards)
    wide = pa.struct([("path", pa.large_string()), ("bytes", pa.large_binary())])
    schema = pa.schema(
        [
            ("id", pa.dictionary(pa.int32(), pa.string())),
            ("audio", wide),
            ("sentence", pa.dictionary(pa.int8(), pa.string())),
            ("translation", pa.large_string()),
            ("file", pa.string()),
            ("client_id", pa.large_string()),
        ]
    )
    cache = tmp_path / "datasets--somebody--covost2"
    snapshot = cache / "snapshots" / "0123abc"
    for path in shards.glob("*/*.parquet"):
        output = snapshot / path.parent.name / path.name.split("-")[0]
        output.mkdir(parents=True, exist_ok=True)
        rows = pq.read_table(path).to_pylist()
        number = int(path.name.split("-")[1])
        table = pa.Table.from_pylist(rows, schema)
        # An older pyarrow makes no such column of Python objects.
        clients = table["client_id"].dictionary_encode()
        table = table.set_column(len(schema) - 1, "client_id", clients)
        pq.write_table(table, output / f"{number:04d}.parquet", row_group_size=3)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("0123abc")
    found = prepare("--covost2_parquet", cache, data="other", clips="clips")
    for name in ("train.fr-en", "test.sv-SE-en", "dev.x2en_fr_sv-SE"):
        assert content(found / name) == content(expected / name)


def test_mistakes(refuse, shards, tmp_path):
    def error():
        return refuse("--covost2_parquet", shards)

    folder = shards / "sv-SE_en"
    path = folder / "train-00001-of-00002.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert f"{path}: cut or damaged (" in error()
    assert error().endswith("; download it again")
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    assert str(path) in error() and "git lfs pull" in error()
    path.unlink()
    assert f"{folder}: 1 of 2 shards are missing, such as {path.name}" in error()
    path.write_bytes(whole)
    old = folder / "train-00000-of-00003.parquet"
    old.write_bytes(whole)
    assert "remove those of the old version" in error()
    old.unlink()
    (folder / "test-00000-of-00001.parquet").rename(folder / "away")
    assert f"{folder}: no test-*.parquet; download it" in error()
    (folder / "away").rename(folder / "test-00000-of-00001.parquet")
    folder.rename(shards / "sv_en")
    assert f"no sv-SE_en in {shards}; download it, or leave 'sv-SE-en' out" in error()
    (shards / "sv_en").rename(folder)

    table = pq.read_table(path)
    pq.write_table(table.drop_columns("sentence"), path)
    assert f"{path}: no column 'sentence' among 'client_id file audio" in error()
    strings = pa.array(["a.mp3"] * len(table))
    pq.write_table(table.set_column(2, "audio", strings), path)
    assert "the column 'audio' is string, but a recording is a struct" in error()
    path.write_bytes(whole)

    other = shards / "en_sv-SE" / path.name
    path.write_bytes(other.read_bytes())
    assert f"{path}: row 1 is a clip of 'en', common_voice_en_" in error()
    path.write_bytes(whole)

    assert "parquet files need --audio convert" in refuse(
        "--covost2_parquet", shards, "--audio", "stat"
    )
    assert "takes the place of --commonvoice" in refuse(
        "--covost2_parquet", shards, "--commonvoice", tmp_path
    )
    assert "no folder '/nowhere'" in refuse("--covost2_parquet", "/nowhere")
    assert "name the corpora's folders" in refuse()


def test_damage_inside(refuse, shards):
    """A shard whose end is whole, which has the table of contents."""
    path = shards / "fr_en" / "train-00000-of-00002.parquet"
    start = pq.ParquetFile(path).metadata.row_group(1).column(2).data_page_offset
    with path.open("r+b") as f:
        f.seek(start)
        f.write(bytes(40))
    assert f"{path}: cut or damaged (" in refuse("--covost2_parquet", shards)


def test_a_direction_that_is_not_asked_for(prepare, shards, caplog):
    """It is not in the way; its test set is held out if it is whole."""
    (shards / "en_de" / "train-00001-of-00002.parquet").unlink()
    data = prepare("--covost2_parquet", shards)
    assert "en_de is not used: " in caplog.text
    tables = data / "local" / "parquet"
    assert (tables / "covost_v2.en_sv-SE.tsv").is_file()
    assert not (tables / "covost_v2.en_de.tsv").exists()


def test_stopped_while_decoding(prepare, shards, monkeypatch):
    """What was decoded stays; nothing of the rest is taken for it."""
    real = parquet.convert

    def stop(path, output):
        if "fr_6" in str(output):
            raise KeyboardInterrupt
        return real(path, output)

    monkeypatch.setattr(parquet, "convert", stop)
    with pytest.raises(KeyboardInterrupt):
        prepare("--covost2_parquet", shards)
    monkeypatch.setattr(parquet, "convert", real)
    data = prepare("--covost2_parquet", shards)
    assert len(content(data / "train.fr-en")["wav.scp"].splitlines()) == 8
    clips = [path.name for path in (data.parent / "clips" / "fr").iterdir()]
    assert "common_voice_fr_6.flac" in clips
    assert not [name for name in clips if ".tmp-" in name]


def test_a_full_disk(refuse, prepare, shards, tmp_path, monkeypatch):
    """The folder is named that has no room; nothing half-written is trusted."""

    def full(path, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        error = refuse("--covost2_parquet", shards)
    assert error == f"Error: [Errno 28] No space left on device: '{tmp_path}/clips/fr'"
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["local"]
    assert len(content(prepare("--covost2_parquet", shards) / "train.fr-en")) == 7


def test_names(tmp_path):
    """Of clips whose id or file is not there; blanks and backslashes of texts."""
    audio = {"bytes": b"", "path": "c.wav"}
    row = {"client_id": client(1), "audio": audio, "translation": "a\\b\tc\nd"}
    rows = [
        {**row, "id": "x", "file": None, "sentence": "1"},
        {**row, "id": None, "file": "/somewhere/y.mp3", "sentence": "2\\"},
        {**row, "id": None, "file": None, "sentence": None},
    ]
    for split in ("train", "validation", "test"):
        write_shards(tmp_path / "p" / "fr_en", split, rows)
    covost2_parquet.write_tables(tmp_path / "p", [FR_EN], tmp_path / "t")
    said = (tmp_path / "t" / "fr" / "validated.tsv").read_text().splitlines()
    assert [line.split("\t")[1:] for line in said[1:]] == [
        ["x.wav", "1"],
        ["y.mp3", "2\\\\"],
        ["c.wav", ""],
    ]
    splits = rows_of(CommonVoice(tmp_path / "t"), tmp_path / "t", FR_EN)
    assert {row["translation"] for row in splits["test"]} == {"a\\b c d"}
