import pytest

from espnet_samu.samplers import two_columns
from espnet_samu.samplers.two_columns import read_blocks


def read(path):
    return [pair for keys, values in read_blocks(path) for pair in zip(keys, values)]


@pytest.mark.parametrize("block", [1, 7, 2**24])
def test_blocks(tmp_path, monkeypatch, block):
    monkeypatch.setattr(two_columns, "_BLOCK", block)
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
    monkeypatch.setattr(two_columns, "_BLOCK", block)
    path = tmp_path / "utt2lang"
    path.write_text(lines)
    with pytest.raises(ValueError, match=f"utt2lang:{number}: line must be 'utter"):
        read(path)


def test_empty(tmp_path):
    path = tmp_path / "utt2lang"
    path.write_text("")
    with pytest.raises(ValueError, match="utt2lang: file is empty"):
        read(path)
