import os
import re
import shutil
import socket
import subprocess
import sys

import pytest

from espnet_samu.utils.atomic import (
    AtomicFolder,
    atomic_write,
    remove_stale,
)


def make(path, *files, maker="command", inputs=()):
    with AtomicFolder(path, maker, inputs) as folder:
        for name in files:
            (folder / name).touch()


def names(path):
    return sorted(p.name for p in path.iterdir())


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
    assert names(path.parent) == ["a.txt"]


def test_atomic_write_mode(tmp_path):
    with pytest.raises(ValueError, match="mode must be 'w' or 'wb': 'a'"):
        with atomic_write(tmp_path / "a", "a"):
            pass


def test_folder_is_replaced_when_the_block_ends_well(tmp_path):
    path = tmp_path / "new" / "model"
    make(path, "old")
    make(path, "new")
    assert names(path) == [".made_by", "new"]
    with pytest.raises(RuntimeError):
        with AtomicFolder(path, "command") as folder:
            (folder / "half").touch()
            raise RuntimeError
    assert names(path) == [".made_by", "new"]
    assert names(path.parent) == ["model"]


def test_colleagues_can_read_weights(tmp_path):
    """As the other files; safetensors writes them for the owner alone."""
    with AtomicFolder(tmp_path / "model", "command") as folder:
        (folder / "part").mkdir()
        for path in (folder / "a.safetensors", folder / "part" / "b.safetensors"):
            path.touch(mode=0o600)
    modes = {p.stat().st_mode for p in (tmp_path / "model").rglob("*") if p.is_file()}
    assert modes == {(tmp_path / "model" / ".made_by").stat().st_mode}
    assert modes & {0o100644, 0o100664, 0o100600}  # whatever the umask is


@pytest.mark.parametrize("marker", [None, "other\n", "", b"\xff", "command"])
def test_folder_of_another_is_not_replaced(tmp_path, marker):
    path = tmp_path / "exp"
    path.mkdir()
    make(path, "fine where it was empty")
    (path / ".made_by").unlink()
    if marker is not None:
        data = marker if isinstance(marker, bytes) else marker.encode()
        (path / ".made_by").write_bytes(data)
    before = names(path)
    with pytest.raises(
        ValueError, match="exp is not empty and was not made by command"
    ):
        AtomicFolder(path, "command")
    assert names(path) == before and names(tmp_path) == ["exp"]


def test_folder_with_an_input_is_not_replaced(tmp_path):
    path = tmp_path / "model"
    make(path, "weights")
    (tmp_path / "link").symlink_to(path / "weights")
    for name in (path / "weights", path, tmp_path / "link"):
        with pytest.raises(ValueError, match=f"holds an input, {name};"):
            AtomicFolder(path, "command", [tmp_path / "model.pth", name])
    make(path, "new", inputs=[tmp_path, tmp_path / "model.pth"])
    assert names(path) == [".made_by", "new"]


def test_file_is_no_output_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="file is a file, but the output is a folder"):
        AtomicFolder(tmp_path / "file", "command")


def test_links_stay_links(tmp_path):
    (tmp_path / "disk").mkdir()
    for name in ("model", "text"):
        (tmp_path / name).symlink_to(tmp_path / "disk" / name)  # not there yet
    for content in ("old", "new"):
        make(tmp_path / "model", content)
        with atomic_write(tmp_path / "text") as f:
            f.write(content)
    assert (tmp_path / "model").is_symlink() and (tmp_path / "text").is_symlink()
    assert names(tmp_path / "disk" / "model") == [".made_by", "new"]
    assert (tmp_path / "disk" / "text").read_text() == "new"
    assert names(tmp_path / "disk") == ["model", "text"]


@pytest.fixture(scope="module")
def dead():
    """Process id of a process that has ended."""
    with subprocess.Popen([sys.executable, "-S", "-c", ""]) as process:
        process.wait()
    return process.pid


def test_temporaries_of_killed_processes(tmp_path, dead):
    host = socket.gethostname()
    left = {
        "dead": tmp_path / f".a.tmp-{host}-{dead}-1",
        "alive": tmp_path / f".a.tmp-{host}-{os.getppid()}-1",
        "other file": tmp_path / f".b.tmp-{host}-{dead}-1",
        "other machine": tmp_path / f".a.tmp-not-{host}-{dead}-1",
        "long ago": tmp_path / f".a.tmp-not-{host}-{dead}-2",
        "unknown": tmp_path / ".a.tmp-x",
    }
    for path in left.values():
        path.touch()
    os.utime(left["long ago"], (0, 0))
    with atomic_write(tmp_path / "a"):
        pass
    kept = {name for name, path in left.items() if path.exists()}
    assert kept == {"alive", "other file", "other machine", "unknown"}
    remove_stale(tmp_path)
    assert not left["other file"].exists() and left["alive"].exists()


def test_folders_of_killed_processes(tmp_path, dead):
    left = f".model.tmp-{socket.gethostname()}-{dead}-1"
    for name in (left, f"{left}.old"):
        (tmp_path / name / "half").mkdir(parents=True)
    make(tmp_path / "model")
    assert names(tmp_path) == ["model"]


def test_a_full_disk_is_named_whatever_a_library_says(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    message = re.escape(f"[Errno 28] No space left on device: '{tmp_path}'")
    for free, error in ((0, OSError), (10**9, RuntimeError)):
        monkeypatch.setattr(
            shutil, "disk_usage", lambda _, free=free: usage._replace(free=free)
        )
        for output in (
            atomic_write(tmp_path / "a.pth", "wb"),
            AtomicFolder(tmp_path / "folder", "command"),
        ):
            with pytest.raises(error, match=message if free == 0 else "unexpected"):
                with output:
                    raise RuntimeError("unexpected pos 576 vs 534")
    assert names(tmp_path) == []
