"""Tables are read as CoVoST-2's authors read them."""

import csv
import tarfile

import pytest

from espnet_samu.corpora.common_voice import (
    TsvReader,
    read_sentences,
    read_validated,
)

QUIRKS = (
    "path\tsentence\tvotes\r\n"
    'a.mp3\t"quoted\t1\r\n'
    'b.mp3\tsay \\"no\\" 5" \'x\'\t2\r\n'
    "c.mp3\tback\\\\slash \\n\t3\n"
    "d.mp3\tNA\tnull\n"
    "\n"
    "e.mp3\t\t\n"
    "f.mp3\ta\\\tb\tNaN\n"
    "g.mp3\tNone #1, 2; 3\t-0\n"
    "i.mp3\tover \\\n two lines\t5\n"
    "h.mp3\tété 日本語 \u200f\t4"
)


@pytest.fixture
def quirks(tmp_path):
    path = tmp_path / "quirks.tsv"
    path.write_bytes(QUIRKS.encode())
    return path


def test_by_hand(quirks):
    rows = dict(TsvReader(quirks, ("path", "sentence")))
    assert rows == {
        "a.mp3": '"quoted',
        "b.mp3": 'say "no" 5" \'x\'',
        "c.mp3": "back\\slash n",
        "d.mp3": "NA",
        "e.mp3": "",
        "f.mp3": "a b",  # the tab was escaped
        "g.mp3": "None #1, 2; 3",
        "i.mp3": "over two lines",  # the line end was escaped
        "h.mp3": "été 日本語 \u200f",
    }


def test_same_rows_as_pandas(quirks):
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(
        quirks,
        sep="\t",
        header=0,
        encoding="utf-8",
        quoting=csv.QUOTE_NONE,
        escapechar="\\",
        na_filter=False,
        dtype=str,
    )
    columns = ("votes", "path", "sentence")
    expected = [
        tuple(" ".join(field.split()) for field in row)
        for row in frame[list(columns)].itertuples(index=False)
    ]
    assert list(TsvReader(quirks, columns)) == expected
    assert len(expected) == 9


def test_blanks_of_all_kinds_become_one(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("path\tsentence\na\t x\u2028y\u00a0\u3000 z\x85 \n", "utf-8")
    assert list(TsvReader(path, ("sentence",))) == [("x y z",)]


def test_malformed_lines_are_counted(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("path\tsplit\tmore\na\n\nb\ttest\nc\ttest\t1\t2\nd\tdev\t3\n")
    reader = TsvReader(path, ("path", "split"))
    # What is missing behind the columns asked for does no harm.
    assert list(reader) == [("b", "test"), ("d", "dev")]
    assert reader.malformed == [2, 5]
    assert list(reader) == [("b", "test"), ("d", "dev")]  # again


def test_byte_order_mark(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_bytes(b"\xef\xbb\xbfpath\tsplit\na\tdev\n")
    assert list(TsvReader(path, ("path",))) == [("a",)]


def test_archive(tmp_path, quirks):
    archive = tmp_path / "away" / "quirks.tsv.tar.gz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(quirks, arcname="folder/quirks.tsv")
    columns = ("path", "sentence")
    assert [*TsvReader(archive, columns)] == [*TsvReader(quirks, columns)]


def test_mistakes(tmp_path, quirks):
    with pytest.raises(ValueError, match="no column 'split' among 'path sentence"):
        list(TsvReader(quirks, ("split",)))
    with pytest.raises(ValueError, match="nowhere.tsv:1: cannot be read"):
        list(TsvReader(tmp_path / "nowhere.tsv", ("path",)))
    bad = tmp_path / "bad.tsv"
    bad.write_bytes(b"path\na\n\xff\n")
    with pytest.raises(ValueError, match="bad.tsv: not UTF-8"):
        list(TsvReader(bad, ("path",)))
    empty = tmp_path / "empty.tsv"
    empty.touch()
    with pytest.raises(ValueError, match="empty.tsv:1: no column 'path'"):
        list(TsvReader(empty, ("path",)))
    archive = tmp_path / "other.tsv.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(quirks, arcname="quirks.tsv")
    with pytest.raises(ValueError, match="holds no other.tsv"):
        list(TsvReader(archive, ("path",)))
    archive.write_bytes(archive.read_bytes()[:50])
    with pytest.raises(ValueError, match="other.tsv.tar.gz:1: cannot be read"):
        list(TsvReader(archive, ("path",)))


def test_sentences_of_some_clips_are_those_of_all(tmp_path):
    (tmp_path / "validated.tsv").write_text(
        "client_id\tpath\tsentence\n"
        'a\tone.mp3\t"""Yes"", he said."\n'
        "a\ttwo.mp3\tCafe\u0301 \u200b.\n"
        "b\tone.mp3\tThe second line of a clip.\n"
        "b\tthree.mp3\tNot asked for.\n",
        "utf-8",
    )
    found = read_sentences(tmp_path, {"one.mp3", "two.mp3", "absent.mp3"})
    assert found == {"one.mp3": '"Yes", he said.', "two.mp3": "Caf\u00e9 ."}
    clips = read_validated(tmp_path).clips
    assert found == {name: clips[name].sentence for name in found}
