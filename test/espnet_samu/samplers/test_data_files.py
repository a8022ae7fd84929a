"""Tests of espnet_samu.samplers.data_files."""

import numpy as np
import pytest

from espnet_samu.samplers import data_files
from espnet_samu.samplers.data_files import (
    UtteranceIndex,
    find_category_file,
    read_blocks,
    read_languages,
    read_shapes,
)


@pytest.mark.parametrize("names", [[b"a", b"bb", b"d"], [b"d", b"a", b"bb"]])
def test_find(names):
    index = UtteranceIndex(np.array(names), "shape")
    queries = [b"bb", b"d", b"", b"b", b"bbb", b"zzzz", b"a", b"a"]
    rows = index.find(np.array(queries))
    expected = [names.index(q) if q in names else -1 for q in queries]
    assert rows.tolist() == expected


def test_twice():
    with pytest.raises(ValueError, match="shape: utterance 'b' is there twice"):
        UtteranceIndex(np.array([b"b", b"a", b"b"]), "shape")


def read(path):
    return [pair for keys, values in read_blocks(path) for pair in zip(keys, values)]


@pytest.mark.parametrize("block", [1, 7, 2**24])
def test_blocks(tmp_path, monkeypatch, block):
    monkeypatch.setattr(data_files, "_BLOCK", block)
    path = tmp_path / "shape"
    # tab, several blanks, carriage return, U+00A0 in a name, no line end at the end
    path.write_bytes("a 1\nbb\t22,3\nc  \t3 \r\nd\u00a0e 4\nf 5".encode())
    expected = [("a", "1"), ("bb", "22,3"), ("c", "3"), ("d\u00a0e", "4"), ("f", "5")]
    assert read(path) == [(k.encode(), v.encode()) for k, v in expected]


@pytest.mark.parametrize("block", [1, 2**24])
@pytest.mark.parametrize(
    "lines, number",
    [
        ("a 1\nb\n", 2),
        ("a 1\nb 2 c\n", 2),
        ("a 1\n\nb 2\n", 2),
        # as many columns as there should be, in all
        ("a 1\nb\n2 c 3\n", 2),
        ("a 1\nb 2 c\n3\n", 2),
    ],
)
def test_malformed(tmp_path, monkeypatch, block, lines, number):
    monkeypatch.setattr(data_files, "_BLOCK", block)
    path = tmp_path / "utt2lang"
    path.write_text(lines)
    with pytest.raises(ValueError, match=f"utt2lang:{number}: line must be 'utter"):
        read(path)


def test_empty(tmp_path):
    path = tmp_path / "utt2lang"
    path.write_text("")
    with pytest.raises(ValueError, match="utt2lang: file is empty"):
        read(path)


UTTERANCES = np.array([b"u1", b"u2", b"u3", b"u4"])


@pytest.mark.parametrize(
    "lines",
    [
        ["u1 fr", "u2 cy", "u3 fr", "u4 ca"],
        # another order; utterances and a language that are not trained on
        ["u0 zu", "u4 ca", "u2 cy", "u3 fr", "u1 fr", "u9 fr"],
    ],
)
def test_read(tmp_path, lines):
    path = tmp_path / "utt2lang"
    path.write_text("\n".join(lines))
    languages = read_languages(path, UTTERANCES)
    assert languages.names == ("ca", "cy", "fr")
    assert languages.codes.tolist() == [2, 1, 2, 0]
    assert languages.counts.tolist() == [1, 1, 2]


def test_spellings_are_one_language(tmp_path, caplog):
    path = tmp_path / "utt2lang"
    # The spelling "fra" is of no utterance that is trained on.
    path.write_text("u0 fra\nu1 FR\nu2 zh_CN\nu3 fr\nu4 fr\nu5 fra\nu6 fra\n")
    languages = read_languages(path, UTTERANCES)
    assert languages.names == ("fr", "zh_CN")
    assert languages.codes.tolist() == [0, 1, 0, 0]
    assert caplog.messages == [f"{path}: FR fr are one language, called 'fr'"]
    # Categories are the user's own.
    path = path.rename(tmp_path / "utt2category")
    assert read_languages(path, UTTERANCES).names == ("FR", "fr", "zh_CN")


def test_missing(tmp_path):
    path = tmp_path / "utt2lang"
    path.write_text("u1 fr\nu9 cy\n")
    message = (
        "utt2lang: 3 of 4 training utterances have no language, e.g. u2, u3, u4; add a "
        r"line .* \(speed-perturbed copies too\)"
    )
    with pytest.raises(ValueError, match=message):
        read_languages(path, UTTERANCES)


def test_refused(tmp_path):
    path = tmp_path / "utt2lang"
    path.write_text("")
    with pytest.raises(ValueError, match="utt2lang: file is empty"):
        read_languages(path, UTTERANCES)
    path.write_text("u1 fr\nu2 fr\nu3 fr\nu4 cy\nu1 cy\n")
    with pytest.raises(ValueError, match="utt2lang: utterance 'u1' is there twice"):
        read_languages(path, UTTERANCES)


def test_languages_find(tmp_path):
    message = "there is no utt2lang in '.*', .*; make it, lines 'utterance language'"
    with pytest.raises(FileNotFoundError, match=message):
        find_category_file(tmp_path)
    (tmp_path / "utt2lang").write_text("u1 fr\n")
    assert find_category_file(tmp_path) == tmp_path / "utt2lang"
    (tmp_path / "utt2category").write_text("u1 fr_en\n")
    assert find_category_file(tmp_path) == tmp_path / "utt2category"


@pytest.fixture
def shape_files(tmp_path):
    """Writes shape files, returns their names."""

    def write(*contents):
        paths = []
        for i, lines in enumerate(contents):
            paths.append(str(tmp_path / f"shape{i}"))
            (tmp_path / f"shape{i}").write_text("\n".join(lines) + "\n")
        return paths

    return write


def test_shapes_read(shape_files):
    shapes = read_shapes(
        shape_files(["c 30", "a 10", "b 20"], ["a 1,80", "b 2,80", "c 3,80"])
    )
    assert shapes.utterances.tolist() == [b"c", b"a", b"b"]
    assert shapes.lengths.tolist() == [[30, 3], [10, 1], [20, 2]]
    assert shapes.dims == (1, 80)
    assert shapes.elements(np.array([2, 0])).tolist() == [[20, 160], [30, 240]]


def test_like_espnet(shape_files):
    from espnet2.fileio.read_text import load_num_sequence_text

    lines = [f"u{i * 7 % 100:03d} {i * i + 1},4,5" for i in range(100)]
    (path,) = shape_files(lines)
    shapes = read_shapes([path])
    expected = load_num_sequence_text(path, loader_type="csv_int")
    names = [u.decode() for u in shapes.utterances]
    rows = [[n, 4, 5] for n in shapes.lengths[:, 0].tolist()]
    assert dict(zip(names, rows)) == expected
    assert shapes.dims == (20,)


def test_shapes_refused(shape_files):
    with pytest.raises(ValueError, match="no shape file: .* --train_shape_file"):
        read_shapes([])
    for lines, message in (
        (["a 1", "b 2", "a 3"], "shape0: utterance 'a' is there twice"),
        (["a 1,80", "b 2,40"], "'b' must be a length and the dims 80, .*: 2,40"),
        (["a 1,80", "b 2"], "'b' must be a length and the dims 80, .*: 2"),
        (["a 1", "b 2,40"], "'b' must be a length, .*: 2,40"),
        (["a 1", "b x.wav"], "'b' must be a length, .*: x.wav"),
        (["a 1", "b ,80"], "'b' must be a length, .*: ,80"),
        (["a 1,80", "b ,80"], "'b' must be a length and the dims 80, .*: ,80"),
        (["a 1,80", "b 2,80,80"], "'b' must be a length and .*: 2,80,80"),
        (["a 1", "b -2"], "'b' must be a length, .*: -2"),
    ):
        with pytest.raises(ValueError, match=message):
            read_shapes(shape_files(lines))
    for other in (["a 1"], ["a 1", "c 2"], ["a 1", "b 2", "c 3"]):
        message = r"shape0 \(2\) and .*shape1 \(\d\) must have the same utterances"
        with pytest.raises(ValueError, match=message):
            read_shapes(shape_files(["a 1", "b 2"], other))
