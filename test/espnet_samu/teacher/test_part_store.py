import numpy as np

from espnet_samu.teacher.part_store import PartStore


def test_parts_belong_to_key_and_sentences(tmp_path):
    store = PartStore(tmp_path / "parts", {"teacher": "a", "revision": None})
    vectors = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert ["x", "y"] not in store
    store.save(["x", "y"], vectors)
    assert ["x", "y"] in store
    np.testing.assert_array_equal(store.load(["x", "y"]), vectors)
    for other in (["y", "x"], ["x"], ["x", "z"], ["xy"]):
        assert other not in store
    other_teacher = PartStore(tmp_path / "parts", {"teacher": "b", "revision": None})
    assert ["x", "y"] not in other_teacher
    other_teacher.remove()
    assert ["x", "y"] not in store and not (tmp_path / "parts").exists()
