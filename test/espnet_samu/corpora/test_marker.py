"""Sets that are there already, and what makes them be made again."""

import os
import re

import pytest

from espnet_samu.corpora.marker import Marker, check_distinct


def test_marker(tmp_path):
    (tmp_path / "in").write_text("1")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "wav.scp").write_text(f"utt {tmp_path}/in\n")

    def marker(**options):
        return Marker(tmp_path / "done.json", options, [tmp_path / "in"])

    outputs = [tmp_path / "out"]
    assert not marker(a=1).is_current(outputs)
    marker(a=1).set(outputs)
    assert marker(a=1).is_current(outputs)
    assert not marker(a=2).is_current(outputs)
    (tmp_path / "in").write_text("12")
    assert not marker(a=1).is_current(outputs)
    marker(a=1).set(outputs)
    (tmp_path / "out" / "wav.scp").unlink()
    assert not marker(a=1).is_current(outputs)
    marker(a=1).clear()
    assert not (tmp_path / "done.json").exists()


@pytest.mark.parametrize("older", [False, True])
def test_a_clip_that_is_replaced_in_place_is_no_finished_set(tmp_path, older):
    clip = tmp_path / "clips" / "a.mp3"
    clip.parent.mkdir()
    clip.write_bytes(b"cut")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "wav.scp").write_text(f"a {clip}\n")
    sets = [tmp_path / "set"]
    Marker(tmp_path / "done.json", {}, [clip.parent]).set(sets)
    assert Marker(tmp_path / "done.json", {}, [clip.parent]).is_current(sets)
    stat = clip.parent.stat()
    clip.write_bytes(b"new")
    if older:
        os.utime(clip, ns=(1, 1))
    assert clip.parent.stat().st_mtime_ns == stat.st_mtime_ns
    assert not Marker(tmp_path / "done.json", {}, [clip.parent]).is_current(sets)


def test_sets_are_made_once(tmp_path, capsys):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "wav.scp").write_text("")
    counts, made = tmp_path / "counts.md", []

    def make():
        made.append(1)
        counts.write_text("| set |")

    for removed in (False, False, True):
        if removed:  # by a user: the numbers are printed all the same
            counts.unlink()
        Marker(tmp_path / "done.json", {}, []).make([tmp_path / "set"], make)
        assert capsys.readouterr().out == "| set |\n"
    assert len(made) == 2


def test_two_sets_of_one_name(tmp_path):
    message = f"two sets would be written to {tmp_path}/a: rename one of them"
    with pytest.raises(ValueError, match=re.escape(message)):
        check_distinct([tmp_path / "a", tmp_path / "b", tmp_path / "a"])
