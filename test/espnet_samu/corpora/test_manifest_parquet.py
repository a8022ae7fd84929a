"""A corpus of your own in parquet files: the same sets as from a manifest."""

import pyarrow as pa
import pytest

from espnet_samu.bin import prepare
from espnet_samu.corpora.manifest import is_parquet, locate_split, read_columns
from espnet_samu.corpora.parquet import find_shards
from espnet_samu.utils.command import run

from .covost2_parquet_tree import write_shards

SCHEMA = pa.schema(
    [
        ("client_id", pa.string()),
        ("audio", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("sentence", pa.string()),
        ("english", pa.string()),
        ("number", pa.int64()),
    ]
)
COLUMNS = "transcript=sentence,translation=english,id=number,speaker=client_id"
COLUMNS += ",language:fr,target_language:en"


def rows_of(mp3, *numbers):
    """Return good rows."""
    return [
        {
            "client_id": f"s{n % 2}",
            "audio": {"bytes": mp3, "path": f"{n}.mp3"},
            "sentence": f"Phrase {n}\t.",
            "english": f"Sentence {n}.",
            "number": n,
        }
        for n in numbers
    ]


@pytest.fixture
def folder(tmp_path, mp3):
    """Folder with a split of two shards."""
    write_shards(tmp_path / "own", "train", rows_of(mp3, 1, 2, 3), SCHEMA, shards=2)
    return tmp_path / "own"


@pytest.fixture
def call(tmp_path, capsys):
    """Function that prepares a manifest; returns status, error and data directory."""

    def call(manifest, *options, columns=COLUMNS, name="train"):
        command = ["manifest", "--manifest", manifest, "--columns", columns]
        command += ["--output_dir", tmp_path / "data" / name]
        command += ["--clips_dir", tmp_path / "clips", *options]
        with pytest.raises(SystemExit) as end:
            run(prepare.main, [str(part) for part in command])
        return end.value.code, capsys.readouterr().err, tmp_path / "data" / name

    return call


def test_as_from_a_manifest(call, folder, tmp_path, mp3, read):
    status, error, found = call(f"{folder}:train")
    assert status == 0, error
    lines = ["id audio language transcript translation target_language speaker".split()]
    for n in (1, 2, 3):
        (tmp_path / f"{n}.mp3").write_bytes(mp3)
        lines.append([f"{n}", f"{n}.mp3", "fr", f"Phrase {n} .", f"Sentence {n}."])
        lines[-1] += ["en", f"s{n % 2}"]
    manifest = tmp_path / "own.tsv"
    manifest.write_text("".join("\t".join(line) + "\n" for line in lines))
    status, error, expected = call(manifest, columns="", name="own")
    assert status == 0, error
    for name in ("utt2spk", "utt2lang", "utt2tgt_lang", "text.tc.multi", "text.tc.en"):
        assert read(found / name) == read(expected / name), name
    assert read(found / "text.tc.multi")["s1-1"] == "Phrase 1 ."
    clips = read(found / "wav.scp")
    assert clips["s1-1"] == f"{tmp_path}/clips/train/s1-1.flac"
    for utt, path in read(expected / "wav.scp").items():
        with open(path, "rb") as one, open(clips[utt], "rb") as other:
            assert one.read() == other.read()


def test_faults(call, folder, mp3):
    rows = rows_of(mp3, 1, 2, 3, 4)
    rows[0]["audio"]["bytes"] = None
    rows[1]["audio"]["bytes"] = b"no sound" * 50
    rows[2]["english"] = None
    write_shards(folder, "test", rows, SCHEMA)
    status, error, data = call(f"{folder}:test", name="test")
    manifest = data.parent / "local" / "test" / "manifest.tsv"
    assert status == 1 and not data.exists()
    assert f"{manifest}:2: audio file missing: " in error
    assert f"{manifest}:3: {manifest.parent}/s0-2.mp3: undecodable audio" in error
    assert f"{manifest}:4: the translation of '3' is empty" in error
    rows[2]["english"] = "Three."
    rows.append(rows[3])
    write_shards(folder, "test", rows, SCHEMA)
    status, error, _ = call(f"{folder}:test", name="test")
    assert f"{manifest}:6: duplicate id '4' (also in line 5)" in error
    write_shards(folder, "test", rows[:4], SCHEMA)
    status, error, _ = call(f"{folder}:test", "--drop_faulty", "true", name="test")
    assert status == 0 and len((data / "wav.scp").read_text().splitlines()) == 2
    faults = (manifest.parent / "faults.tsv").read_text()
    assert "s1-1\tdropped\tmissing audio\t" in faults
    assert "s0-2\tdropped\tundecodable audio (" in faults


def test_one_file_of_a_split(call, folder):
    """As ``to_parquet("own.parquet")`` of datasets writes it."""
    shard, *_ = sorted(folder.glob("train-*"))
    shard.rename(folder / "own.parquet")
    status, error, data = call(f"{folder}:own", name="own")
    assert status == 0, error
    assert len((data / "wav.scp").read_text().splitlines()) == 2
    status, error, _ = call(folder / "own.parquet", columns="")
    assert status == 1
    assert f"own.parquet: for parquet files write {folder}:own, the folder" in error


def test_recordings_in_another_column(call, tmp_path, mp3):
    rows = [{"speech": {"bytes": mp3, "path": "1.mp3"}, "sentence": "Un"}]
    schema = pa.schema(
        [("speech", SCHEMA.field("audio").type), SCHEMA.field("sentence")]
    )
    write_shards(tmp_path / "own", "train", rows, schema)
    status, error, _ = call(f"{tmp_path / 'own'}:train")
    assert status == 1 and "no column audio with recordings among speech sen" in error


def test_distillation_without_ids(call, folder, tmp_path):
    columns = "transcript=sentence,language:fr"
    status, error, data = call(f"{folder}:train", "--samu", "true", columns=columns)
    assert status == 0, error
    assert (data / "utt2spk").read_text().startswith("train-00000000 train-00000000\n")
    assert sorted(f.name for f in data.glob("text*")) == ["text.tc.multi"]


def test_mistakes(call, folder):
    for manifest, columns, message in (
        (f"{folder}:dev", COLUMNS, f"{folder}: no dev-*.parquet; download it"),
        ("nowhere:dev", COLUMNS, "nowhere: no such folder, and no hub id"),
        (
            f"{folder}:train",
            "text=sentence",
            "--columns 'text=sentence': write <name>=",
        ),
        (
            f"{folder}:train",
            COLUMNS.replace("sentence", "words"),
            "no column 'words' among 'client_id ",
        ),
        (f"{folder}:train", "", "no column language transcript translation target_"),
        (folder / "a.tsv", "id=a", "--columns is for parquet files"),
    ):
        status, error, _ = call(manifest, columns=columns)
        assert status == 1 and message in error.splitlines()[-1], error
    status, error, _ = call(f"{folder}:train", "--audio", "stat")
    assert "parquet files need --audio convert" in error


def test_shards_with_checksums(tmp_path):
    """As older versions of datasets push them to the hub."""
    names = [f"train-{n:05d}-of-00002-{n:016x}.parquet" for n in range(2)]
    for name in (*names, "train-other-00000-of-00001.parquet"):
        (tmp_path / name).touch()
    assert [path.name for path in find_shards(tmp_path, "train")] == names
    (tmp_path / f"train-00001-of-00002-{9:016x}.parquet").touch()
    with pytest.raises(ValueError, match="train-.*: remove those of the old version"):
        find_shards(tmp_path, "train")
    for path in tmp_path.glob("train-00001-*"):
        path.unlink()
    with pytest.raises(ValueError, match="1 of 2 shards are missing, such as train-00"):
        find_shards(tmp_path, "train")


def test_from_the_hub(monkeypatch, folder):
    asked = []

    def download(name, patterns):
        asked.append((name, patterns))
        return folder.parent

    monkeypatch.setattr("espnet_samu.corpora.manifest.download_dataset", download)
    shards = locate_split("someone/else/own:train")
    assert [path.parent for path in shards] == [folder, folder]
    patterns = ["own/train-*.parquet", "own/train/*.parquet", "own/train.parquet"]
    assert asked == [("someone/else", patterns)]


def test_names(tmp_path):
    assert is_parquet("a/b:train") and is_parquet("folder:test")
    assert is_parquet("openslr/librispeech_asr/all:train.clean.100")
    assert not is_parquet("a.tsv") and not is_parquet("train:a.tsv")
    (tmp_path / "a:b").write_text("")
    assert not is_parquet(f"{tmp_path}/a:b")
    found = read_columns("id=n, language:zh-CN")
    assert found == ({"id": "n"}, {"language": "zh-CN"})
