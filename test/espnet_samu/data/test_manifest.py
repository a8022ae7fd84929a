"""Manifests to data directories: values, and every mistake with its line."""

import time
from pathlib import Path

import pytest

from espnet_samu.data.manifest import main
from espnet_samu.data.manifest_options import ManifestOptions
from espnet_samu.data.manifest_reader import ManifestError, ManifestReader
from espnet_samu.utils import command

HEADER = "id audio language transcript translation target_language".split()
TIMES = [*HEADER, "speaker", "start", "end"]
GOOD = ["u1", "a.wav", "fr", "bonjour", "hello", "en"]


def write_manifest(folder: Path, rows: list[list[str]], audio: bool = True) -> Path:
    """Write rows as a manifest, with two (empty) audio files beside it."""
    if audio:
        (folder / "a.wav").touch()
        (folder / "b.wav").touch()
    manifest = folder / "train.tsv"
    manifest.write_text("".join("\t".join(row) + "\n" for row in rows), "utf-8")
    return manifest


def run(manifest: Path, *options: str) -> tuple[int, Path]:
    """Run the command; return its status and the output directory."""
    output = manifest.parent / "data" / "train"
    options = ["--manifest", str(manifest), "--output_dir", str(output), *options]
    with pytest.raises(SystemExit) as end:
        command.run(main, options)
    return end.value.code, output


def read(folder: Path) -> dict[str, list[str]]:
    """Read all files of a data directory as lines."""
    return {
        file.name: file.read_text("utf-8").splitlines() for file in folder.glob("[!.]*")
    }


def test_values_and_order(tmp_path):
    manifest = write_manifest(
        tmp_path,
        [
            [*HEADER, "speaker"],
            ["u2", "b.wav", "fr", 'dit "non"', "says no", "en", "s"],
            ["u10", "a.wav", "it", "piu\u0300\\n", "\u200emore", "de", "s"],
            ["s-u1", "a.wav", "zh-CN", "好", "good", "en", "s"],
        ],
    )
    status, output = run(manifest)
    assert status == 0
    assert read(output) == {
        "wav.scp": [
            f"s-u1 {tmp_path}/a.wav",
            f"s-u10 {tmp_path}/a.wav",
            f"s-u2 {tmp_path}/b.wav",
        ],
        "utt2spk": ["s-u1 s", "s-u10 s", "s-u2 s"],
        "spk2utt": ["s s-u1 s-u10 s-u2"],
        "utt2lang": ["s-u1 zh-CN", "s-u10 it", "s-u2 fr"],
        "utt2tgt_lang": ["s-u1 en", "s-u10 de", "s-u2 en"],
        "text.tc.multi": ["s-u1 好", "s-u10 più\\n", 's-u2 dit "non"'],
        "text.tc.en": ["s-u1 good", "s-u10 more", "s-u2 says no"],
    }


def test_segments_share_recordings(tmp_path):
    row = [*GOOD[1:], ""]
    manifest = write_manifest(
        tmp_path,
        [TIMES, ["u1", *row, "0", "1.5"], ["u2", *row, "1.50", "2"]],
    )
    status, output = run(manifest)
    files = read(output)
    assert status == 0
    assert files["wav.scp"] == [f"recording-0000000 {tmp_path}/a.wav"]
    assert files["segments"] == [
        "u1 recording-0000000 0 1.5",
        "u2 recording-0000000 1.50 2",
    ]
    # Without a speaker every utterance is its own.
    assert files["utt2spk"] == ["u1 u1", "u2 u2"]


def test_samu_needs_no_translation(tmp_path):
    manifest = write_manifest(tmp_path, [HEADER, ["u1", "a.wav", "it", "ciao", "", ""]])
    status, output = run(manifest, "--samu", "true", "--src_case", "lc")
    assert status == 0
    assert set(read(output)) == {
        "wav.scp",
        "utt2spk",
        "spk2utt",
        "utt2lang",
        "text.lc.multi",
    }


def test_no_transcripts(tmp_path):
    manifest = write_manifest(tmp_path, [HEADER, ["u1", "a.wav", "it", "", "hi", "en"]])
    status, output = run(manifest, "--use_src_lang", "false", "--tgt_lang", "xx")
    assert status == 0
    assert read(output)["text.tc.xx"] == ["u1 hi"]
    assert "text.tc.multi" not in read(output)


SECOND = ["u2", *GOOD[1:]]
TIMED = [*GOOD, ""]
MISTAKES = {
    "missing audio": ([HEADER, GOOD, ["u2", "c.wav", *GOOD[2:]]], 3, "c.wav"),
    "transcript without audio": (
        [HEADER, ["u1", "", *GOOD[2:]]],
        2,
        "transcript without audio",
    ),
    "pipe": ([HEADER, ["u1", "rm x |", *GOOD[2:]]], 2, "ends in |"),
    "duplicate id": ([HEADER, GOOD, SECOND, GOOD], 4, "duplicate id 'u1' (also in"),
    "language": (
        [HEADER, GOOD, ["u2", "a.wav", "french", *GOOD[3:]]],
        3,
        "unknown language 'french'",
    ),
    "no language": (
        [HEADER, ["u1", "a.wav", "", *GOOD[3:]]],
        2,
        "unknown language ''",
    ),
    "target language": (
        [HEADER, [*GOOD[:5], "English"]],
        2,
        "unknown target_language 'English'",
    ),
    "empty file": ([], 1, "the manifest is empty"),
    "header only": ([HEADER], 1, "the manifest is empty"),
    "column missing": (
        [HEADER[:5], GOOD[:5]],
        1,
        "column missing: target_language",
    ),
    "column unknown": ([[*HEADER, "voice"], TIMED], 1, "unknown column 'voice'"),
    "column twice": ([[*HEADER, "id"], TIMED], 1, "column 'id' comes twice"),
    "end missing": ([[*HEADER, "start"], TIMED], 1, "belong together"),
    "fields": ([HEADER, GOOD, [*SECOND, "x"]], 3, "7 fields, but the header has 6"),
    "no translation": ([HEADER, [*GOOD[:4], "\u200b", "en"]], 2, "translation of 'u1'"),
    "no transcript": ([HEADER, [*GOOD[:3], " ", "x", "en"]], 2, "transcript of 'u1'"),
    "order of times": ([TIMES, [*TIMED, "2", "2.0"]], 2, "start 2 is not before"),
    "negative": ([TIMES, [*TIMED, "-1", "2"]], 2, "negative time"),
    "no number": ([TIMES, [*TIMED, "0", "1,5"]], 2, "'1,5' is no number"),
    "not finite": ([TIMES, [*TIMED, "0", "inf"]], 2, "'inf' is no number"),
    "half the times": ([TIMES, [*TIMED, "0", ""]], 2, "is no number"),
    "some times": (
        [TIMES, [*TIMED, "0", "1"], [*SECOND, "", "", ""]],
        3,
        "some lines have start and end",
    ),
    "space in id": ([HEADER, ["u 1", *GOOD[1:]]], 2, "'u 1' has a space"),
    "no id": ([HEADER, ["", *GOOD[1:]]], 2, "the id is empty"),
    "sorting": (
        [
            [*HEADER, "speaker"],
            [*GOOD, "a"],
            [*SECOND, "a-b"],
            ["z", *GOOD[1:], "a"],
            ["c", *GOOD[1:], "a"],
        ],
        5,
        "speakers 'a' and 'a-b'",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_named_and_nothing_written(tmp_path, capsys, name):
    rows, line, problem = MISTAKES[name]
    manifest = write_manifest(tmp_path, rows)
    before = sorted(tmp_path.rglob("*"))
    status, _ = run(manifest)
    assert status == 1
    message = capsys.readouterr().err
    assert message.startswith(f"Error: {manifest}:{line}: ")
    assert problem in message
    assert "; " in message  # what to do about it
    assert sorted(tmp_path.rglob("*")) == before


def test_language_list(tmp_path):
    manifest = write_manifest(tmp_path, [HEADER, GOOD])
    options = ManifestOptions(langs=("es", "it"))
    with pytest.raises(ManifestError, match=r"train.tsv:2: unknown language 'fr'"):
        ManifestReader(manifest, options).read()
    assert run(manifest, "--langs", "es fr")[0] == 0


def test_not_utf8(tmp_path, capsys):
    manifest = write_manifest(tmp_path, [HEADER, GOOD, SECOND])
    with manifest.open("ab") as stream:
        stream.write(b"u3\ta.wav\tfr\tcaf\xe9\tx\ten\n")
    assert run(manifest)[0] == 1
    assert f"{manifest}:4: not UTF-8" in capsys.readouterr().err


def test_windows_file(tmp_path):
    manifest = write_manifest(tmp_path, [HEADER, GOOD])
    text = manifest.read_text("utf-8").replace("\n", "\r\n")
    manifest.write_bytes(b"\xef\xbb\xbf" + text.encode())
    status, output = run(manifest)
    assert status == 0
    assert read(output)["utt2tgt_lang"] == ["u1 en"]


def test_old_directory_survives_a_mistake(tmp_path):
    manifest = write_manifest(tmp_path, [HEADER, GOOD])
    _, output = run(manifest)
    old = read(output)
    write_manifest(tmp_path, [HEADER, [*GOOD[:2], "??", *GOOD[3:]]])
    assert run(manifest)[0] == 1
    assert read(output) == old
    write_manifest(tmp_path, [HEADER, SECOND])
    assert run(manifest)[0] == 0
    assert read(output)["utt2spk"] == ["u2 u2"]
    assert [path.name for path in output.parent.iterdir()] == ["train"]


def test_foreign_directory_is_kept(tmp_path, capsys):
    manifest = write_manifest(tmp_path, [HEADER, GOOD])
    output = tmp_path / "data" / "train"
    output.mkdir(parents=True)
    (output / "thesis.tex").write_text("x")
    assert run(manifest)[0] == 1
    assert f"{output} is not empty and was not made by" in capsys.readouterr().err
    assert (output / "thesis.tex").read_text() == "x"


def test_check_only_writes_nothing(tmp_path):
    manifest = write_manifest(tmp_path, [HEADER, GOOD])
    status, output = run(manifest, "--check_only", "true")
    assert status == 0
    assert not output.parent.exists()


def test_fast_enough_for_big_corpora(tmp_path):
    rows = [HEADER, *([f"u{i}", *GOOD[1:]] for i in range(20_000))]
    manifest = write_manifest(tmp_path, rows)
    started = time.process_time()
    assert run(manifest)[0] == 0
    # Measured: 34 s and 0.8 GB for a million rows on a busy machine.
    assert time.process_time() - started < 5
