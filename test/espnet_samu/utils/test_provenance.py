"""Tests of espnet_samu.utils.provenance."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from espnet_samu.utils.provenance import (
    RECORD,
    FileSums,
    Input,
    audio_input,
    differences,
    flat_options,
    hash_text,
    read_record,
    split_paths,
    summarize,
    write_record,
)


@pytest.fixture
def clips(tmp_path):
    """A wav.scp of two recordings."""
    for name in "ab":
        (tmp_path / f"{name}.flac").write_bytes(name.encode() * 20000)
    wav_scp = tmp_path / "wav.scp"
    wav_scp.write_text("".join(f"{n} {tmp_path}/{n}.flac\n" for n in "ab"))
    return wav_scp


def recorded(wav_scp):
    """Recordings, as a record has them."""
    now = audio_input(wav_scp)
    return {"sum": now.sum, "content": now.content()}


def test_a_recording_overwritten_in_place_is_another(clips):
    before = recorded(clips)
    clip = clips.parent / "a.flac"
    stat = clip.stat()
    clip.write_bytes(b"c" * 20000)
    assert not audio_input(clips).is_same(before)
    # as tar or cp -p bring an older one
    os.utime(clip, ns=(1, stat.st_mtime_ns - 10**9))
    assert not audio_input(clips).is_same(before)
    clip.write_bytes(b"a" * 20000)
    os.utime(clip, ns=(1, 1))
    assert audio_input(clips).is_same(before)


def test_a_copied_or_moved_corpus_is_the_same(clips, tmp_path):
    before = recorded(clips)
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in "ab":
        shutil.copyfile(tmp_path / f"{name}.flac", copy / f"{name}.flac")
        os.utime(copy / f"{name}.flac", ns=(7, 7))
    (copy / "wav.scp").write_text("".join(f"{n} {copy}/{n}.flac\n" for n in "ab"))
    now = audio_input(copy / "wav.scp")
    assert now.sum != before["sum"]
    assert now.is_same(before)
    # Fewer recordings are others, recordings that are gone are not known.
    (copy / "wav.scp").write_text(f"a {copy}/a.flac\n")
    assert not audio_input(copy / "wav.scp").is_same(before)
    for name in "ab":
        (tmp_path / f"{name}.flac").unlink()
    assert audio_input(clips).sum is None


def test_perturbed_recordings_and_archives(clips, tmp_path):
    wav_scp = tmp_path / "sp.scp"
    wav_scp.write_text(
        f"sp0.9-a sox -t flac {tmp_path}/a.flac -t wav - speed 0.9 |\n"
        f"b {tmp_path}/b.flac:17\n"
    )
    before = recorded(wav_scp)
    for name in "ab":
        content = (tmp_path / f"{name}.flac").read_bytes()
        (tmp_path / f"{name}.flac").write_bytes(b"x" * 20001)
        assert not audio_input(wav_scp).is_same(before)
        (tmp_path / f"{name}.flac").write_bytes(content)
        assert audio_input(wav_scp).is_same(before)


def test_sums_of_large_files_are_remembered(tmp_path):
    large, small = tmp_path / "large.pth", tmp_path / "small"
    large.write_bytes(b"x" * 2**20)
    small.write_bytes(b"y")
    total = FileSums(tmp_path).of_file(large)
    assert FileSums(tmp_path).of_file(small) != total
    # Only what the table has says so.
    stat = large.stat()
    large.write_bytes(b"z" * 2**20)
    os.utime(large, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert FileSums(tmp_path).of_file(large) == total
    assert FileSums().of_file(large) != total
    os.utime(large, ns=(1, 1))
    assert FileSums(tmp_path).of_file(large) != total
    assert list(json.loads((tmp_path / ".sums.json").read_text())) == [str(large)]


def test_a_folder_is_its_files(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub" / "model").write_text("weights")
    (tmp_path / "two" / ".cache").write_text("x")
    (tmp_path / "two" / RECORD).write_text("{}")
    sums = FileSums()
    total = sums.of_folder(tmp_path / "one")
    assert sums.of_folder(tmp_path / "two") == total
    (tmp_path / "two" / "sub" / "model").rename(tmp_path / "two" / "model")
    assert sums.of_folder(tmp_path / "two") != total


def test_options_of_no_effect_make_no_difference(tmp_path):
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text(
        "optim: adam  # a comment\noptim_conf:\n    lr: 1e-4\n    eps: 0.1\n"
        "max_epoch: 10\nnum_workers: 4\nlog_interval: 5\nngpu: 1\n"
    )
    two.write_text(
        "max_epoch: 20\n# moved\noptim_conf: {eps: 0.1, lr: 0.0001}\noptim: adam\n"
        "num_workers: 1\nwandb_name: x\n"
    )
    options = flat_options(one, "")
    assert options == {
        "optim": '"adam"',
        "optim_conf.lr": "0.0001",
        "optim_conf.eps": "0.1",
    }
    assert flat_options(two, "--ngpu 4") == options
    assert flat_options(two, "--optim_conf lr=0.2 --seed=3") == {
        **options,
        "optim_conf.lr": "0.2",
        "seed": "3",
    }


def test_differences_in_words(tmp_path):
    text = tmp_path / "text"
    text.write_text("u1 one\n")
    sums = FileSums()
    write_record(
        tmp_path / "exp",
        {"text": sums.input(text), "teacher": Input("a/teacher", None)},
        {"lr": "0.1", "case": '"tc"'},
        "./run.sh",
    )
    record = read_record(tmp_path / "exp")
    assert record["command"] == "./run.sh" and record["versions"]["python"]
    same = {"text": sums.input(text), "teacher": Input("b", "sum")}
    assert differences(record, same, {"lr": "0.1", "case": '"tc"'}) == []
    text.write_text("u1 two\n")
    found = differences(
        record, {"text": sums.input(text), "words": sums.input(text)}, {"lr": "0.2"}
    )
    assert found == [
        f"text ({text}) is another one",
        "teacher (a/teacher) is gone",
        f"words ({text}) is new",
        "lr 0.1 -> 0.2",
        'case "tc" -> not set',
    ]
    assert summarize(found, 1) == f"text ({text}) is another one, and 4 more"
    assert read_record(tmp_path) is None


def test_a_model_elsewhere_is_the_same(tmp_path):
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model").write_text("weights")
    sums = FileSums()

    def made_from(folder):
        return split_paths({"frontend_conf.model": json.dumps(str(folder))}, sums)

    inputs, options = made_from(tmp_path / "here")
    assert options == {}
    write_record(tmp_path / "exp", inputs, options, "")
    record = read_record(tmp_path / "exp")
    assert differences(record, *made_from(tmp_path / "there")) == []
    shutil.rmtree(tmp_path / "here")  # nothing says that it is another one
    assert differences(record, *made_from(tmp_path / "here")) == []
    (tmp_path / "there" / "model").write_text("others")
    assert len(differences(record, *made_from(tmp_path / "there"))) == 1
    found = differences(record, {}, {"frontend_conf.model": '"facebook/xls-r"'})
    assert "frontend_conf.model" in found[0]


def test_sums_of_texts_are_of_each_text():
    assert hash_text("ab", "c") != hash_text("a", "bc")


def test_no_torch():
    modules = "espnet_samu.bin.check_products", "espnet_samu.bin.provenance"
    code = f"import sys, {', '.join(modules)}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
