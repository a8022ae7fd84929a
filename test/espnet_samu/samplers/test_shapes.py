import numpy as np
import pytest

from espnet_samu.samplers.shapes import read_shapes


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


def test_read(shape_files):
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


def test_refused(shape_files):
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
