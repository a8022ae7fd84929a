"""Each fault of the corpus once: what is left out, mended, or refused."""

import numpy as np
import pytest
import soundfile

FAULTS = {
    # name: start, end, transcript, translation
    "empty transcript": (2.5, 2.75, "\u200e", "written"),
    "empty translation": (2.5, 2.75, "said", "\u200b\ufeff"),
    "impossible times": (2.75, 2.5, "said", "written"),
    "outside the audio": (3.0, 3.5, "said", "written"),
    "shorter than 0.2 s": (2.5, 2.6, "said", "written"),
    "duplicate": (0.5, 1.25, "said", "written"),
}


def listed(data, name, tag="x2en"):
    """Lines of faults.tsv of a set: action, reason, file:line."""
    lines = (data / "local" / tag / "faults.tsv").read_text("utf-8").splitlines()
    rows = [line.split("\t") for line in lines[1:]]
    return [
        (action, reason, f"{file}:{line}")
        for direction, split, _, action, reason, file, line in rows
        if f"{split}.{direction}" == name
    ]


@pytest.mark.parametrize("reason", FAULTS)
def test_left_out_of_training(prepare_europarl, tree, data, counts, read, reason):
    tree.segment("de-en", "train", "train.1", *FAULTS[reason])
    assert prepare_europarl("--src_langs", "de,fr") == 0
    assert counts("train.de-en") == (5, 4, {reason: 1})
    where = f"{tree.root}/de/en/train/segments.lst:5"
    assert listed(data, "train.de-en") == [("dropped", reason, where)]
    assert counts("train.x2en") == (8, 8, {})
    seen, kept, reasons = counts("samu_train")
    merged = reasons.pop("piece of audio that is there already")
    assert seen == 25
    if reason == "duplicate":  # one more of these
        assert (kept, merged, reasons) == (12, 13, {})
    elif reason == "empty translation":  # is not needed
        assert (kept, merged, reasons) == (13, 12, {})
    else:
        assert (kept, merged, reasons) == (12, 12, {reason: 1})


@pytest.mark.parametrize(
    "start, end, reason, times",
    [
        (2.5, 2.6, "extended to 0.2 s", "2.450 2.650"),
        (0.0, 0.05, "extended to 0.2 s", "0.000 0.200"),
        (2.95, 9.0, "extended to 0.2 s", "2.800 3.000"),
        (2.5, 4.5, "cut at the end of the audio", "2.500 3.000"),
        (2.5, 3.05, None, "2.500 3.000"),
    ],
)
def test_mended_in_held_out_sets(
    prepare_europarl, tree, data, counts, read, start, end, reason, times
):
    tree.segment("de-en", "test", "test.0", start, end)
    assert prepare_europarl("--src_langs", "de,fr") == 0
    assert counts("test.de-en") == (3, 3, {reason: 1} if reason else {})
    where = f"{tree.root}/de/en/test/segments.lst:3"
    assert listed(data, "test.de-en") == [("changed", reason, where)] * bool(reason)
    # The name says what the corpus says.
    utt = f"EUmember_0-de_test.0-{start * 1000:08.0f}_{end * 1000:08.0f}-en"
    for name in ("test.de-en", "test.x2en"):
        assert read(data / name / "segments")[utt] == f"de_test.0 {times}"


def test_kinds_of_faults(prepare_europarl, tree, data, tables):
    tree.add_faults("de-en")
    assert prepare_europarl("--src_langs", "de,fr") == 0
    _, kinds = tables((data / "local" / "x2en" / "counts.md").read_text())
    first = f"{tree.root}/de/en/train/segments.lst"
    found = {kind["reason"]: [*kind.values()][1:] for kind in kinds}
    # In train.de-en and in samu_train, or in the test sets alone.
    assert found["impossible times"] == [
        "dropped",
        f"train.1 2.750 2.500 ({first}:8)",
    ] + ["2"]
    assert found["extended to 0.2 s"][0] == "changed"
    assert found["cut at the end of the audio"][2] == "1"


def test_training_beyond_the_audio(prepare_europarl, tree, data, counts, read):
    tree.segment("de-en", "train", "train.1", 2.5, 3.9)
    tree.segment("de-en", "train", "train.1", 2.4, 4.1)
    assert prepare_europarl("--src_langs", "de,fr") == 0
    reasons = {"cut at the end of the audio": 1, "outside the audio": 1}
    assert counts("train.de-en") == (6, 5, reasons)


def test_two_short_segments_stay_two(prepare_europarl, tree, data, counts):
    tree.segment("de-en", "test", "test.0", 2.9, 2.95)
    tree.segment("de-en", "test", "test.0", 2.95, 3.0)
    assert prepare_europarl("--src_langs", "de,fr") == 0
    assert counts("test.de-en") == (4, 4, {"extended to 0.2 s": 2})
    assert len((data / "test.x2en" / "segments").read_text().splitlines()) == 6


def test_a_speech_held_out_in_another_direction(
    prepare_europarl, tree, data, counts, read
):
    # en test.0 is a training speech of en-de.
    for name in ("segments.lst", "segments.en", "segments.de"):
        (tree.folder("en-de", "test") / name).write_text("other 0.5 1.5\n")
    for name, line in (("speeches.lst", "other"), ("speakers.lst", "EUmember_9")):
        (tree.folder("en-de", "test") / name).write_text(f"{line}\n")
    audios = tree.root / "en" / "audios"
    (audios / "other.flac").write_bytes((audios / "test.0.flac").read_bytes())
    tree.speech("en-de", "train", "test.0")
    tree.segment("en-de", "train", "test.0", 0.5, 1.25)
    options = ("--scenario", "m2m", "--tag", "m2m", "--tgt_langs", "de,en,fr")
    assert prepare_europarl(*options) == 0
    reason = {"held out in another direction": 1}
    # The direction's own split is as published.
    assert counts("train.en-de", "m2m") == (5, 5, {})
    assert counts("train.m2m", "m2m") == (25, 24, reason)
    seen, kept, reasons = counts("samu_train", "m2m")
    assert (seen, kept) == (25, 12)
    assert reasons.items() >= reason.items()
    for name in ("train.m2m", "samu_train", "samu_dev"):
        held_out = set(read(data / "test.m2m" / "wav.scp"))
        assert not held_out & set(read(data / name / "wav.scp"))


def test_a_dev_speech_tested_in_another_direction(
    prepare_europarl, tree, data, counts, read
):
    tree.speech("en-de", "dev", "test.0")
    tree.segment("en-de", "dev", "test.0", 0.5, 1.25)
    (tree.folder("en-de", "test") / "speeches.lst").write_text("test.1\n")
    for name in ("segments.lst", "segments.en", "segments.de"):
        (tree.folder("en-de", "test") / name).write_text("test.1 0.5 1.5\n")
    audios = tree.root / "en" / "audios"
    (audios / "test.1.flac").write_bytes((audios / "test.0.flac").read_bytes())
    assert prepare_europarl("--src_langs", "de,fr") == 0
    assert counts("samu_dev")[2]["held out in another direction"] == 1
    assert "en_test.0" not in read(data / "samu_dev" / "wav.scp")


def test_a_speech_in_two_splits(prepare_europarl, tree, data, stderr):
    tree.speech("fr-en", "test", "train.1")
    assert prepare_europarl("--src_langs", "de,fr") == 1
    where = f"{tree.root}/fr/en/test/speeches.lst:2"
    assert f"{where}: speech 'train.1' is in train, too; take it out" in stderr()
    assert not list(data.glob("*/segments"))


def test_train_and_noisy_are_one_split(prepare_europarl, tree):
    tree.speech("fr-en", "train-noisy", "train.1", "EUmember_1")
    assert prepare_europarl("--with_noisy", "true") == 0


@pytest.mark.parametrize(
    "name, content, line, problem",
    [
        ("segments.en", "one\n", 2, "1 lines, but segments.lst beside it has 2"),
        ("segments.de", "1\n2\n3\n", 3, "3 lines, but segments.lst beside it has 2"),
        ("speakers.lst", "A\nB\n", 2, "2 lines, but speeches.lst beside it has 1"),
        ("segments.lst", "test.0 0.5\n\n", 1, "'test.0 0.5' is not: speech, start"),
        ("segments.lst", "test.0 0 1\ntest.0 a 2\n", 2, "'test.0 a 2' is not: speech"),
        ("segments.lst", "test.0 0 1\ntest.0 1 nan\n", 2, "'test.0 1 nan' is not"),
        ("segments.lst", "test.0 0 1\n\n", 2, "'' is not: speech, start and end"),
        ("segments.lst", "t.9 0 1\nt.9 1 2\n", 1, "speech 't.9' is not in speeches"),
        ("speeches.lst", "a/b\n", 1, "'a/b' is no speech id"),
        ("speeches.lst", "../../x\n", 1, "'../../x' is no speech id"),
        ("speeches.lst", "x" * 50 + "\n", 1, "'xxxxxxxx"),
        ("segments.lst", "test.0 0 1\ntest.0 1 1e308\n", 2, "'test.0 1 1e308' is not"),
        ("segments.en", None, 1, "no such file"),
    ],
)
def test_malformed(prepare_europarl, tree, data, stderr, name, content, line, problem):
    path = tree.folder("de-en", "test") / name
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    assert prepare_europarl("--src_langs", "de,fr") == 1
    assert f"{path}:{line}: {problem}" in stderr()
    assert "unpack the corpus again" in stderr()
    assert not data.exists()


def test_all_that_is_not_aligned_is_counted(prepare_europarl, tree, data, stderr):
    lines = {}
    for direction, split in (("de-en", "train"), ("fr-en", "test"), ("en-de", "dev")):
        path = tree.folder(direction, split) / "segments.de"
        if direction == "fr-en":
            path = path.with_name("segments.en")
        lines[path] = path.read_text().count("\n")
        path.write_text("one\n")
    assert prepare_europarl() == 1
    # 6 directions of three splits
    assert "3 of 18 splits are faulty:" in stderr()
    for path, number in lines.items():
        problem = f"{path}:2: 1 lines, but segments.lst beside it has {number}; unpack"
        assert problem in stderr()
    assert stderr().count("Error: ") == 1
    assert not data.exists()


def test_two_speakers(prepare_europarl, tree, stderr):
    tree.speech("de-en", "test", "test.0", "EUmember_7")
    assert prepare_europarl() == 1
    assert "/de/en/test/speeches.lst:2: speech 'test.0' has two speakers" in stderr()


def test_not_utf8(prepare_europarl, tree, stderr):
    path = tree.folder("de-en", "test") / "segments.de"
    path.write_bytes("gut\nschön\n".encode("latin-1"))
    assert prepare_europarl() == 1
    assert f"{path}:2: not UTF-8" in stderr()


def test_missing_audio(prepare_europarl, tree, data, stderr):
    (tree.root / "de" / "audios" / "test.0.flac").unlink()
    (tree.root / "fr" / "audios" / "test.0.flac").unlink()
    assert prepare_europarl() == 1
    where = f"{tree.root}/de/en/test/segments.lst:1"
    assert f"{where}: no audio: de/audios/test.0.m4a is missing (2 s" in stderr()
    assert not data.exists()


def test_damaged_audio(prepare_europarl, tree, data, stderr):
    folder = tree.root / "de" / "audios"
    for name, content in (("dev.0", b""), ("test.0", b"no audio")):
        (folder / f"{name}.flac").write_bytes(content)
    whole = (folder / "train.1.flac").read_bytes()
    (folder / "train.1.flac").write_bytes(whole[: len(whole) // 2])
    assert prepare_europarl() == 1
    message = stderr()
    assert "3 of 12 recordings are damaged; unpack them again:" in message
    assert f"{folder}/dev.0.flac: zero-length audio" in message
    assert f"{folder}/test.0.flac: undecodable audio" in message
    assert f"{folder}/train.1.flac: cut audio (1." in message
    assert not list(data.glob("*/segments"))


def test_silent_audio_is_left_out(prepare_europarl, tree, data, counts, read):
    path = tree.root / "de" / "audios" / "train.1.flac"
    soundfile.write(path, np.zeros(3 * 16_000), 16_000)
    assert prepare_europarl("--src_langs", "de,fr") == 0
    assert counts("train.de-en") == (4, 2, {"silent audio": 2})
    where = f"{tree.root}/de/en/train/segments.lst"
    reason = ("dropped", "silent audio")
    assert listed(data, "train.de-en") == [(*reason, f"{where}:{n}") for n in (3, 4)]
    assert "de_train.1" not in read(data / "samu_train" / "wav.scp")


def test_nothing_left(prepare_europarl, tree, stderr):
    (tree.folder("de-en", "dev") / "segments.en").write_text("\n\n")
    assert prepare_europarl() == 1
    message = "dev.de-en would be empty: none of 2 segments is left (2: empty transl"
    assert message in stderr()


def test_line_ends_and_blanks(prepare_europarl, tree, data, read):
    folder = tree.folder("de-en", "test")
    (folder / "segments.de").write_bytes("\ufeff a\tb \r\nc\u2028d\r\n".encode())
    (folder / "segments.en").write_bytes("e\u00a0!\r\nf  g\n".encode())
    (folder / "segments.lst").write_bytes(b"test.0 0.5 1.25\r\ntest.0 1.25 2.5")
    assert prepare_europarl() == 0
    said = [text for text in read(data / "test.de-en" / "text.tc.de").values()]
    written = [text for text in read(data / "test.de-en" / "text.tc.en").values()]
    assert said == ["a b", "c d"]
    assert written == ["e\u00a0!", "f  g"]


def test_speakers_sort_as_their_utterances(prepare_europarl, tree, data, read):
    names = ["x" * 200, "A", "A+B", "A B", "AB", "Ä", "a/b", "A_B", ""]
    for number, name in enumerate(names):
        tree.speech("de-en", "train", f"more.{number}", name)
        tree.segment("de-en", "train", f"more.{number}", 0.5, 1.5)
    assert prepare_europarl("--src_langs", "de,fr") == 0
    speakers = read(data / "train.de-en" / "utt2spk")
    more = {utt: s for utt, s in speakers.items() if "more." in utt}
    assert len(set(more.values())) == len(names)
    assert {"A", "AB", "A_B"} <= set(more.values())
    assert list(speakers) == sorted(speakers)
    assert list(speakers.values()) == sorted(speakers.values())
    assert all(utt.startswith(f"{speaker}-") for utt, speaker in speakers.items())
    assert all(utt.isascii() and "/" not in utt for utt in speakers)
