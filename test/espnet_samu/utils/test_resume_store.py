"""Tests of espnet_samu.utils.resume_store; with translations: decoding/test_results."""

import os

import numpy as np

from espnet_samu.utils.resume_store import ResumeStore, file_identity

VECTORS = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_vectors_belong_to_key_and_settings(tmp_path):
    folder = tmp_path / ".parts"
    store = ResumeStore(folder, {"teacher": "a", "revision": None})
    assert len(store) == 0 and not folder.exists()
    store.save({("x",): VECTORS[0], ("y", "1"): VECTORS[1]})
    store.save({})
    again = ResumeStore(folder, {"revision": None, "teacher": "a"})
    for some in (store, again):
        assert list(some) == [("x",), ("y", "1")]
        np.testing.assert_array_equal(some["x",], VECTORS[0])
        np.testing.assert_array_equal(some["y", "1"], VECTORS[1])
        assert ("y",) not in some
    other = ResumeStore(folder, {"teacher": "b", "revision": None})
    assert ("x",) not in other
    other.remove()
    assert not folder.exists()


def test_vectors_of_a_part_that_was_not_finished_are_not_read(tmp_path):
    store = ResumeStore(tmp_path, {})
    store.save({("x",): VECTORS[0]})
    (part,) = store.folder.glob("*.json")
    # Killed after the vectors were written, before the keys were.
    part.unlink()
    assert len(ResumeStore(tmp_path, {})) == 0
    store.save({("x",): VECTORS[0]})
    assert list(ResumeStore(tmp_path, {})) == [("x",)]


def test_parts_hold_no_file_open(tmp_path):
    """A large test set has thousands of parts, a process 1024 files."""
    store = ResumeStore(tmp_path, {})
    before = len(os.listdir("/proc/self/fd"))
    for i in range(20):
        store.save({(f"{i}",): VECTORS[i % 2]})
    again = ResumeStore(tmp_path, {})
    for some in (store, again):
        found = [some[f"{i}",] for i in range(20)]
        np.testing.assert_array_equal(found, [*VECTORS] * 10)
    assert len(os.listdir("/proc/self/fd")) == before


def test_identity_of_a_model(tmp_path):
    assert file_identity(None) is None
    assert file_identity("some/model") == "some/model"
    file = tmp_path / "1epoch.pth"
    file.write_text("one")
    (tmp_path / "link").symlink_to(file)
    before = file_identity(str(file))
    assert before[:2] == [str(file), 3] == file_identity(str(tmp_path / "link"))[:2]
    file.write_text("other")
    assert file_identity(str(file)) != before
    (tmp_path / "meta.yaml").write_text("x")
    assert file_identity(str(tmp_path))[:2] == [str(tmp_path), 1]
