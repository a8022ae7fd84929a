"""Manifests to data directories: values, and every mistake with its line."""

import re
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from espnet_samu.bin.prepare import main
from espnet_samu.corpora.audio_store import AudioStore
from espnet_samu.corpora.counts import ManifestErrors
from espnet_samu.corpora.manifest_fields import ManifestOptions
from espnet_samu.corpora.manifest_reader import ManifestReader
from espnet_samu.corpora.utterance import id_fault
from espnet_samu.utils import command

HEADER = "id audio language transcript translation target_language".split()
TIMES = [*HEADER, "speaker", "start", "end"]
GOOD = ["u1", "a.wav", "fr", "bonjour", "hello", "en"]


def write_manifest(folder: Path, rows: list[list[str]], audio: bool = True) -> Path:
    """Write rows as a manifest, with two files in the place of audio beside it."""
    if audio:
        (folder / "a.wav").write_bytes(b"x")
        (folder / "b.wav").write_bytes(b"x")
    manifest = folder / "train.tsv"
    manifest.write_text("".join("\t".join(row) + "\n" for row in rows), "utf-8")
    return manifest


def run(manifest: Path, *options: str, audio: str = "stat") -> tuple[int, Path]:
    """Run the command; return its status and the output directory."""
    output = manifest.parent / "data" / "train"
    arguments = ["manifest", "--manifest", str(manifest)]
    arguments += ["--output_dir", str(output)]
    arguments += ["--audio", audio, "--clips_dir", str(manifest.parent / "clips")]
    with pytest.raises(SystemExit) as end:
        command.run(main, [*arguments, *options])
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
    "pipe": ([HEADER, ["u1", "rm x |", *GOOD[2:]]], 2, "rm x |' has a blank"),
    "shell": ([HEADER, ["u1", "a;touch x;.wav", *GOOD[2:]]], 2, "touch x;.wav' has a"),
    "commas": ([[",".join(HEADER)], [",".join(GOOD)]], 1, "no tab in the header"),
    "upper case header": ([["ID", *HEADER[1:]], GOOD], 1, "column 'ID'; write 'id'"),
    "capitals in the header": (
        [["Id", "Audio", *HEADER[2:]], GOOD],
        1,
        "column 'Id' 'Audio'; write 'id' 'audio'",
    ),
    "upper case language": (
        [HEADER, [*GOOD[:2], "FR", *GOOD[3:]]],
        2,
        "'FR'; write 'fr'",
    ),
    "case of a region": (
        [HEADER, [*GOOD[:5], "zh_cn"]],
        2,
        "target_language 'zh_cn'; write 'zh-CN'",
    ),
    "line break in quotes": (
        [HEADER, [*GOOD[:3], '"bon'], ['jour"', "hello", "en"]],
        2,
        "nor a line break inside quotes",
    ),
    "exponent": ([TIMES, [*TIMED, "1e-400", "1"]], 2, "'1e-400' or end '1' is no num"),
    "underscore": ([TIMES, [*TIMED, "0", "1_0"]], 2, "end '1_0' is no number"),
    "duplicate id": ([HEADER, GOOD, SECOND, GOOD], 4, "duplicate id 'u1' (also in"),
    "language": (
        [HEADER, GOOD, ["u2", "a.wav", "french", *GOOD[3:]]],
        3,
        "unknown language 'french'",
    ),
    "no language": (
        [HEADER, ["u1", "a.wav", "", *GOOD[3:]]],
        2,
        "the language is empty; fill it in",
    ),
    "country": ([HEADER, [*GOOD[:2], "cz", *GOOD[3:]]], 2, "'cz'; write 'cs'"),
    "no ISO 639-1": ([HEADER, [*GOOD[:2], "xx", *GOOD[3:]]], 2, "'xx'; use an ISO"),
    "locale": ([HEADER, [*GOOD[:5], "sr@latin"]], 2, "'sr@latin'; write 'sr-Latn'"),
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
    "others' names of columns": (
        [["id", "path", "language", "sentence", *HEADER[4:]], GOOD],
        1,
        "column missing: audio transcript; not known: path sentence; the header needs",
    ),
    "value without column": (
        [[*HEADER, "", ""], [*GOOD, "", ""], [*SECOND, "", "x"]],
        3,
        "a value in a column without a name",
    ),
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
    message = capsys.readouterr().err.removeprefix("Error: ")
    message = message.removeprefix(f"{manifest}: 2 mistakes:\n    ")
    assert message.startswith(f"{manifest}:{line}: ")
    assert problem in message
    assert message.replace("\n", "").isprintable()
    assert "; " in message  # what to do about it
    assert sorted(tmp_path.rglob("*")) == before


def test_ids_that_cannot_be_file_names(tmp_path, capsys):
    ids = {
        ("", "../../x"): r"\.\._\.\._x_",
        ("", "u 1"): "u_1_",
        ("", "u\u00a01"): "u_1_",
        ("", "u\x1b[31m"): r"u__31m_",
        ("", "u\u200b1"): "u_1_",
        ("", ".."): r"\.\._",
        ("", "x" * 129): "x{40}_",
        ("home/thesis", "1"): "home_thesis_H-1",
        ("home/thesis", "home/thesis-2 b"): "home_thesis_H-2_b_",
        ("y" * 101, "3"): "y{40}_H-3",
        ("s", "z" * 127): "s-z{40}_",
        ("s", "é"): "s-é",
    }
    rows = [[utt, *GOOD[1:], speaker] for speaker, utt in ids]
    manifest = write_manifest(tmp_path, [[*HEADER, "speaker"], *rows])
    status, output = run(manifest)
    assert status == 0
    files = read(output)
    # In the order of the manifest; every one that was replaced.
    table = (output.parent / "local" / "train" / "ids.tsv").read_text("utf-8")
    lines = [line.split("\t") for line in table.split("\n")[1:-1]]
    assert [(speaker, utt) for _, speaker, utt in lines] == list(ids)[:-1]
    assert sorted([*(new for new, *_ in lines), "s-é"]) == [
        line.split()[0] for line in files["wav.scp"]
    ]
    checksum = "[0-9a-f]{12}"
    for (new, *_), pattern in zip(lines, ids.values()):
        pattern = pattern.replace("_H", f"_{checksum}")
        pattern += checksum if pattern.endswith("_") else ""
        assert re.fullmatch(pattern, new)
        assert id_fault(new) is None
    speakers = dict(line.split() for line in files["utt2spk"])
    assert all(utt.startswith(speaker) for utt, speaker in speakers.items())
    assert len(set(speakers.values())) == len(ids) - 2
    assert "train: 11 ids that cannot be file names were replaced, see ids.tsv" in (
        capsys.readouterr().out
    )
    # The same ids again get the same names; a manifest without such has no table.
    before = read(output)
    assert run(manifest)[0] == 0 and read(output) == before
    write_manifest(tmp_path, [HEADER, GOOD])
    assert run(manifest)[0] == 0
    assert not (output.parent / "local" / "train" / "ids.tsv").exists()


def test_language_list(tmp_path):
    manifest = write_manifest(tmp_path, [HEADER, GOOD])
    options = ManifestOptions(langs=("es", "it"))
    with pytest.raises(ManifestErrors, match=r"train.tsv:2: unknown language 'fr'"):
        ManifestReader(manifest, options, AudioStore(tmp_path, "stat")).read()
    assert run(manifest, "--langs", "es fra")[0] == 0


def test_not_utf8(tmp_path, capsys):
    manifest = write_manifest(tmp_path, [HEADER, GOOD, SECOND])
    with manifest.open("ab") as stream:
        stream.write(b"u3\ta.wav\tfr\tcaf\xe9\tx\ten\n")
    assert run(manifest)[0] == 1
    assert f"{manifest}:4: not UTF-8" in capsys.readouterr().err
    manifest.write_text("\t".join(HEADER) + "\n", "utf-16")
    assert run(manifest)[0] == 1
    assert "(UTF-16, as Excel's Unicode text); save it as" in capsys.readouterr().err
    manifest.write_bytes(b"PK\x03\x04\xe9\xff")
    assert run(manifest)[0] == 1
    assert "(a spreadsheet or another archive); save the" in capsys.readouterr().err


def test_windows_file(tmp_path):
    manifest = write_manifest(tmp_path, [HEADER, GOOD])
    text = manifest.read_text("utf-8").replace("\n", "\r\n")
    manifest.write_bytes(b"\xef\xbb\xbf" + text.encode())
    status, output = run(manifest)
    assert status == 0
    assert read(output)["utt2tgt_lang"] == ["u1 en"]


def test_empty_columns_of_a_spreadsheet(tmp_path):
    status, output = run(write_manifest(tmp_path, [[*HEADER, "", ""], [*GOOD, "", ""]]))
    assert status == 0
    assert read(output)["text.tc.en"] == ["u1 hello"]


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
    assert {path.name for path in output.parent.iterdir()} == {"train", "local"}


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


def test_all_mistakes_at_once(tmp_path, capsys):
    bad = [[f"v{n}", "c.wav", *GOOD[2:]] for n in range(30)]
    bad[3][2] = "FR"
    bad[5][5] = "?"
    manifest = write_manifest(tmp_path, [HEADER, GOOD, *bad, SECOND, SECOND])
    assert run(manifest)[0] == 1
    message = capsys.readouterr().err.removeprefix("Error: ")
    lines = message.splitlines()
    assert lines[0] == f"{manifest}: 4 mistakes:"
    assert [line.split(":")[1] for line in lines[1:]] == ["3", "6", "8", "34"]
    assert "c.wav (28 lines name it)" in message
    assert not (tmp_path / "data").exists()


def test_many_mistakes_are_in_a_file(tmp_path, capsys):
    rows = [[f"u{n}", *GOOD[1:5], f"\x1b{n}"] for n in range(50)]
    status, output = run(write_manifest(tmp_path, [HEADER, *rows]))
    assert status == 1
    message = capsys.readouterr().err
    assert len(message.splitlines()) == 1 + 20 + 2
    assert "and 30 more" in message
    faults = output.parent / "local" / "train" / "faults.tsv"
    saved = [line.split("\t") for line in faults.read_text().splitlines()]
    assert saved[0] == "set split utterance action reason file line".split()
    assert len(saved) == 51
    *start, problem, file, line = saved[50]
    assert start == ["train", "-", "-", "refused"]
    assert problem.startswith("unknown target_language '\\x1b49'; use an ISO")
    assert (file, line) == (str(output.parent.parent / "train.tsv"), "51")
    assert f"all of them: {faults}" in message
    # The next good run removes it.
    assert run(write_manifest(tmp_path, [HEADER, GOOD]))[0] == 0
    assert {path.name for path in output.parent.iterdir()} == {"train", "local"}


def test_few_mistakes_of_a_kind_are_not_hidden(tmp_path, capsys):
    rows = [[f"n{n}", *GOOD[1:5], "de_AT"] for n in range(50)]
    rows += [GOOD, GOOD, ["v", "c.wav", *GOOD[2:]], ["w", *GOOD[1:5], "pt_br"]]
    assert run(write_manifest(tmp_path, [HEADER, *rows]))[0] == 1
    lines = capsys.readouterr().err.splitlines()[1:]
    assert [int(line.split(":")[1]) for line in lines[:20]] == [
        *range(2, 19),
        *range(53, 56),
    ]
    assert lines[20].strip() == "and 33 more"


@pytest.mark.parametrize("everywhere", [False, True])
def test_csv_quotes(tmp_path, capsys, everywhere):
    row = [*GOOD[:3], '"dit ""non"""', '"""Yes"", he said"', "en"]
    if everywhere:
        rows = [
            [f'"{name}"' for name in HEADER],
            [f'"{v.strip(chr(34))}"' for v in row],
        ]
        rows[1][3:5] = row[3:5]
    else:
        rows = [HEADER, row, ["u2", *GOOD[1:3], '"Oui."', '"a" or "b"', "de"]]
    status, output = run(write_manifest(tmp_path, rows))
    assert status == 0
    files = read(output)
    assert files["text.tc.multi"][0] == 'u1 dit "non"'
    assert files["text.tc.en"][0] == 'u1 "Yes", he said'
    printed = capsys.readouterr().out
    fields = 6 if everywhere else 2
    assert f"- train: CSV quotes removed from {fields} fields\n" in printed
    if not everywhere:  # quotes that are part of the text
        assert files["text.tc.multi"][1] == 'u2 "Oui."'
        assert files["text.tc.en"][1] == 'u2 "a" or "b"'
        assert "languages: fr 2\n- train: target languages: de 1, en 1\n" in printed


@pytest.fixture
def sounds(tmp_path):
    """Two seconds of noise in two channels, the same silent, and cut."""
    noise = np.random.default_rng(0).normal(0, 0.1, (2 * 16_000, 2))
    soundfile.write(tmp_path / "two words.wav", noise, 16_000)
    soundfile.write(tmp_path / "silent.wav", 0 * noise, 16_000)
    content = (tmp_path / "two words.wav").read_bytes()
    # Of a packet of 4096 bytes that is not whole, FFmpeg 7 decodes nothing.
    (tmp_path / "cut.wav").write_bytes(content[: 44 + 15 * 4096])
    return tmp_path


def test_recordings_are_converted(sounds):
    row = ["two words.wav", *GOOD[2:], ""]
    manifest = write_manifest(
        sounds,
        [TIMES, ["u1", *row, "0", "1.5"], ["u2", *row, "1.5", "2.05"]],
        audio=False,
    )
    status, output = run(manifest, audio="convert")
    assert status == 0
    (line,) = read(output)["wav.scp"]
    rec, path = line.split(" ")
    assert path.startswith(f"{sounds}/clips/two_words-")
    info = soundfile.info(path)
    assert (info.format, info.samplerate, info.channels) == ("FLAC", 16_000, 1)
    assert info.frames == 32_000
    assert read(output)["segments"] == [f"u1 {rec} 0 1.5", f"u2 {rec} 1.5 2.05"]


@pytest.mark.parametrize(
    "start, end, problem",
    [
        ("0", "60", "end 60 is beyond the end of the audio, 2.00 s"),
        ("50", "51", "start 50 is beyond the end of the audio, 2.00 s"),
        ("500", "1500", "2.00 s; milliseconds?"),
        ("0", "1" + "0" * 308, "end 1e+308 is beyond the end"),
        ("1.99", "2.05", "1.99 to 2.05 is less than 400 samples"),
    ],
)
def test_times_outside_the_audio(sounds, capsys, start, end, problem):
    row = ["u1", "two words.wav", *GOOD[2:], "", start, end]
    manifest = write_manifest(sounds, [TIMES, row], audio=False)
    assert run(manifest, audio="convert")[0] == 1
    message = capsys.readouterr().err.removeprefix("Error: ")
    assert message.startswith(f"{manifest}:2: times outside the audio (")
    assert problem in message


def test_faulty_audio(sounds, capsys, tables):
    names = ("two words.wav", "silent.wav", "cut.wav", "none.wav")
    rows = [[f"u{n}", name, *GOOD[2:]] for n, name in enumerate(names)]
    manifest = write_manifest(sounds, [HEADER, *rows], audio=False)
    status, output = run(manifest, audio="convert")
    assert status == 1
    message = capsys.readouterr().err
    for line, problem in (
        (3, f"{sounds}/silent.wav: silent audio; replace the file, or leave"),
        (4, f"{sounds}/cut.wav: cut audio (the file ends early; 0.96 s are there)"),
        (5, f"audio file missing: {sounds}/none.wav; correct the path"),
    ):
        assert f"{manifest}:{line}: {problem}" in message
    assert not output.exists()

    assert run(manifest, "--drop_faulty", "true", audio="convert")[0] == 0
    assert [line.split()[0] for line in read(output)["wav.scp"]] == ["u0"]
    assert read(output)["text.tc.en"] == ["u0 hello"]
    report = output.parent / "local" / "train"
    assert (report / "faults.tsv").read_text().splitlines()[1:] == [
        f"train\t-\tu{n}\tdropped\t{reason}\t{manifest}\t{n + 2}"
        for n, reason in (
            (1, "silent audio"),
            (2, "cut audio (the file ends early; 0.96 s are there)"),
            (3, "missing audio"),
        )
    ]
    printed = capsys.readouterr().out
    assert printed == (report / "counts.md").read_text() + "\n"
    rows, kinds = tables(printed)
    assert rows == [
        {
            **{"set": "train", "split": "-", "listed": "4", "cut audio": "1"},
            **{"missing audio": "1", "silent audio": "1", "kept": "1"},
            "hours": f"{rows[0]['hours']}",
        }
    ]
    assert kinds[0] == {
        "reason": "silent audio",
        "what is done": "dropped",
        "first example": f"u1 ({manifest}:3)",
        "number": "1",
    }
    assert "- train: languages: fr 1\n- train: target languages: en 1\n" in printed


def test_nothing_is_left(sounds, capsys):
    rows = [HEADER, ["u1", "silent.wav", *GOOD[2:]]]
    manifest = write_manifest(sounds, rows, audio=False)
    status, output = run(manifest, "--drop_faulty", "true", audio="convert")
    assert status == 1
    assert "no utterance is left: all 1 were left out" in capsys.readouterr().err
    assert not output.exists()
