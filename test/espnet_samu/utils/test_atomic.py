import pytest

from espnet_samu.utils.atomic import atomic_folder, atomic_write


def test_atomic_write_replaces_only_when_the_block_ends_well(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with atomic_write(path) as f:
        f.write("é\n")
        assert not path.exists()
    assert path.read_bytes() == b"\xc3\xa9\n"
    with pytest.raises(RuntimeError):
        with atomic_write(path) as f:
            f.write("half")
            raise RuntimeError
    assert path.read_bytes() == b"\xc3\xa9\n"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_atomic_write_mode(tmp_path):
    with pytest.raises(ValueError, match="mode must be 'w' or 'wb': 'a'"):
        with atomic_write(tmp_path / "a", "a"):
            pass


def test_atomic_folder(tmp_path):
    path = tmp_path / "model"
    for name in ("old", "new"):
        with atomic_folder(path) as folder:
            (folder / name).touch()
    assert [p.name for p in path.iterdir()] == ["new"]
    with pytest.raises(RuntimeError):
        with atomic_folder(path) as folder:
            (folder / "half").touch()
            raise RuntimeError
    assert [p.name for p in path.iterdir()] == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
