from espnet_samu.train.saved_state import CHECKPOINT, EARLIER, has_state


def test_of_a_killed_training(tmp_path):
    assert not has_state(tmp_path)
    (tmp_path / CHECKPOINT).write_bytes(b"state")
    assert has_state(tmp_path)
    # killed while the second epoch was written, with and without half a file
    (tmp_path / CHECKPOINT).rename(tmp_path / EARLIER)
    assert has_state(tmp_path)
    (tmp_path / CHECKPOINT).write_bytes(b"st")
    assert has_state(str(tmp_path))
    # killed while the first epoch was written
    (tmp_path / EARLIER).write_bytes(b"")
    assert not has_state(tmp_path)
