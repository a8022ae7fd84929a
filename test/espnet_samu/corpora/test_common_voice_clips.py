"""Sound files: which can be used, and what they become."""

import numpy as np
import pytest
import soundfile

from espnet_samu.corpora.audio import CUT, EMPTY, MISSING, UNDECODABLE
from espnet_samu.corpora.common_voice import Clips

from .covost2_tree import SECONDS, clip


@pytest.fixture
def folder(tmp_path, write_clips):
    """One good clip, and one of each kind that cannot be used."""
    write_clips(tmp_path, "fr", [1, 5])
    clips = tmp_path / "fr" / "clips"
    (clips / clip("fr", 2)).write_bytes(b"")
    (clips / clip("fr", 3)).write_bytes(b"<html>not here</html>" * 40)
    whole = (clips / clip("fr", 5)).read_bytes()
    (clips / clip("fr", 5)).write_bytes(whole[: len(whole) // 2])
    return tmp_path / "fr"


NAMES = [clip("fr", number) for number in (1, 2, 3, 4, 5)]


def test_faults(folder, tmp_path):
    clips = Clips("convert", tmp_path / "out", jobs=2)
    kinds = [EMPTY, UNDECODABLE, MISSING, CUT]
    for _ in range(2):  # another set
        assert clips.faults(folder, NAMES) == dict(zip(NAMES[1:], kinds))


def test_sizes_alone_do_not_show_what_is_undecodable(folder, tmp_path):
    faults = Clips("stat", tmp_path / "out").faults(folder, NAMES)
    assert faults == {NAMES[1]: EMPTY, NAMES[3]: MISSING}


def test_clips_are_looked_at_once(folder, tmp_path):
    clips = Clips("stat", tmp_path / "out")
    faults = clips.faults(folder, NAMES)
    assert clips.faults(tmp_path / "de", NAMES[:1]) == {NAMES[0]: MISSING}
    (folder / "clips" / NAMES[0]).unlink()
    assert clips.faults(folder, NAMES) == faults


def test_paths(folder, tmp_path):
    assert Clips("stat", tmp_path / "out").paths(folder)(NAMES[0]) == str(
        folder / "clips" / NAMES[0]
    )
    # As given: relative to the recipe, as all that ESPnet writes to dump/.
    converted = Clips("convert", tmp_path / "out").paths(folder)(NAMES[0])
    assert converted == f"{tmp_path}/out/fr/common_voice_fr_1.flac"


def test_a_clip_keeps_its_name(folder, tmp_path):
    clips = Clips("convert", tmp_path / "out")
    clips.faults(folder, NAMES)
    info = soundfile.info(clips.paths(folder)(NAMES[0]))
    assert (info.format, info.subtype) == ("FLAC", "PCM_16")
    assert (info.samplerate, info.channels) == (16000, 1)
    # mp3 pads to whole frames of 1152 samples at 48 kHz.
    assert abs(info.frames / 16000 - SECONDS) <= 2 * 1152 / 48000


def test_another_copy_of_the_corpus_is_converted_again(tmp_path):
    for root, seconds in (("cv", 1.0), ("repaired", 2.0)):
        samples = np.random.default_rng(0).normal(size=int(16000 * seconds)) * 0.1
        folder = tmp_path / root / "fr" / "clips"
        folder.mkdir(parents=True)
        soundfile.write(folder / "a.wav", samples, 16000)
        (folder / "a.wav").rename(folder / "a.mp3")
    # As in three calls of stage 1.
    for root, seconds in (("cv", 1.0), ("repaired", 2.0), ("cv", 1.0), ("cv", 1.0)):
        clips = Clips("convert", tmp_path / "out")
        folder = tmp_path / root / "fr"
        assert clips.faults(folder, ["a.mp3"]) == {}
        path = clips.paths(folder)("a.mp3")
        assert soundfile.info(path).duration == seconds
