import os
import pickle

import kaldiio
import numpy as np
import pytest

from espnet_samu.utils.kaldi_io import (
    Archives,
    check_data_files,
    read_failures,
    read_text,
    read_vectors,
    write_failures,
    write_text,
    write_vectors,
)


def test_text_round_trip(tmp_path):
    table = {"utt1": "one  two", "utt0": "", "utt2": "非\u3000常\u00a0e\u2028x"}
    write_text(tmp_path / "text", table)
    assert (tmp_path / "text").read_text(encoding="utf-8").split("\n")[1] == "utt0"
    read = read_text(tmp_path / "text")
    assert read == table
    assert list(read) == list(table)


def test_tabs_and_carriage_returns(tmp_path):
    (tmp_path / "text").write_bytes(b"a\tx y \r\nb   z\n")
    assert read_text(tmp_path / "text") == {"a": "x y", "b": "z"}


@pytest.mark.parametrize(
    "content, message",
    [
        (b"a x\na y\n", r"text:2: id 'a' is already on line 1"),
        (b"a x\n\n", r"text:2: line must start with an id"),
        (b" a x\n", r"text:1: line must start with an id"),
        (b"a x\nb \xff\n", r"text:2: not UTF-8"),
        (b"a x\nb\n", r"text:2: id 'b' has no value"),
        (b"", r"text: file is empty"),
    ],
)
def test_malformed_text(tmp_path, content, message):
    (tmp_path / "text").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_text(tmp_path / "text", allow_empty=False)


@pytest.mark.parametrize("table", [{"a b": "x"}, {"": "x"}, {"a": "x\ny"}])
def test_write_text_refuses(tmp_path, table):
    with pytest.raises(ValueError):
        write_text(tmp_path / "text", table)
    assert not (tmp_path / "text").exists()


def test_vectors_may_share_an_entry(tmp_path):
    a, b = np.array([1.0, 2.0]), np.array([3.0, -0.5], dtype=np.float32)
    folder = tmp_path / "with space"
    scp = write_vectors(
        folder, [("u2", a), ("u1", b)], entry_of={"u1": "u1", "u2": "u2", "u3": "u2"}
    )
    library = kaldiio.load_scp(str(scp))
    assert list(library) == ["u1", "u2", "u3"]
    for vectors in (library, read_vectors(scp)):
        assert vectors["u1"].dtype == np.float32
        np.testing.assert_array_equal(vectors["u1"], b)
        np.testing.assert_array_equal(vectors["u2"], a)
        np.testing.assert_array_equal(vectors["u3"], a)
    assert [k for k, _ in kaldiio.load_ark(str(folder / "embed.ark"))] == ["u2", "u1"]


def test_espnet_reads_vectors(tmp_path):
    kaldi = pytest.importorskip("omniio").kaldi  # ESPnet reads by it
    scp = write_vectors(tmp_path, [("a", np.arange(3)), ("b", np.ones(3))])
    np.testing.assert_array_equal(kaldi.load_scp(str(scp))["b"], np.ones(3))


def test_vectors_refused(tmp_path):
    with pytest.raises(ValueError, match="'a' must be a finite vector"):
        write_vectors(tmp_path, [("a", np.array([np.nan]))])
    with pytest.raises(ValueError, match="id 'a' is given twice"):
        write_vectors(tmp_path, [("a", np.ones(2)), ("a", np.ones(2))])
    scp = write_vectors(tmp_path, [("a", np.ones(2)), ("b", np.ones(3))])
    with pytest.raises(ValueError, match="embed.scp:2: 'b' must be a vector of size 2"):
        read_vectors(scp)


# What Kaldi's readers would run. The name of a file may be a command, too.
COMMANDS = ("touch {}|", "touch {} | ", "|touch {}", "cat x; touch {} |:5")
# Neither a command nor a place.
ELSEWHERE = ("{}", "embed.ark", ":5", "-:5", "embed.ark:5[0:1]", "embed.ark:-5")


@pytest.mark.parametrize("entry", [*COMMANDS, *ELSEWHERE])
def test_entries_are_places_in_archives(tmp_path, entry):
    canary = tmp_path / "canary"
    scp = write_vectors(tmp_path, [("a", np.ones(2))])
    with scp.open("a") as f:
        f.write(f"b {entry.format(canary)}\n")
    kind = "is a command" if entry in COMMANDS else "is not FILE:OFFSET"
    with pytest.raises(ValueError, match=f"embed.scp:2: entry of 'b' {kind}"):
        read_vectors(scp)
    check_data_files([(str(scp), "speech", "sound")])  # no archive
    with pytest.raises(ValueError, match=f"embed.scp:2: entry of 'b' {kind}"):
        check_data_files([(str(scp), "embed", "kaldi_ark")])
    assert not canary.exists()


class Canary:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_pickles_are_not_run(tmp_path):
    scp = write_vectors(tmp_path, [("a", np.ones(2))])
    (tmp_path / "evil.ark").write_bytes(b"b PKL" + pickle.dumps(Canary(tmp_path / "x")))
    with scp.open("a") as f:
        f.write(f"b {tmp_path}/evil.ark:2\n")
    with pytest.raises(ValueError, match="embed.scp:2: entry of 'b' is a pickle"):
        read_vectors(scp)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"\0BFV \4\xff\xff\xff\x7f1234", b"\0BXX ", b"[ 1 x ]", b"NPY\1\4ab", b"\0B"],
)
def test_other_content(tmp_path, content):
    (tmp_path / "a.ark").write_bytes(content)
    with Archives() as archives:
        with pytest.raises(ValueError, match="cannot be read: '.*a.ark:0'"):
            archives.read(f"{tmp_path}/a.ark:0")


def test_failures(tmp_path):
    assert read_failures(tmp_path / "text") == {}
    write_failures(tmp_path, {"a": "too short"})
    assert (tmp_path / "failed.scp").read_text() == "a too short\n"
    assert read_failures(tmp_path / "text") == {"a": "too short"}
    write_failures(tmp_path, {})
    assert not (tmp_path / "failed.scp").exists()
