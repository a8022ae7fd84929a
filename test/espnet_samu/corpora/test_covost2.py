"""Data directories, counts and faults of a small corpus, checked by hand."""

import json
import os
import shutil

import pytest

from espnet_samu.bin import prepare as command_line
from espnet_samu.corpora import data_dir
from espnet_samu.corpora.common_voice import CommonVoice, read_validated, speaker_id
from espnet_samu.corpora.covost2_directions import (
    FROM_ENGLISH,
    INTO_ENGLISH,
    SCENARIOS,
    choose_scenario,
    read_published,
)
from espnet_samu.corpora.covost2_distillation import CovostHeldOut
from espnet_samu.corpora.data_dir import combine
from espnet_samu.corpora.held_out import sentence_key
from espnet_samu.utils.command import run

from .conftest import ROOT
from .covost2_tree import RELEASE, client, clip, write_language

CONF = ROOT / "egs2" / "covost2" / "samu_st1" / "conf"
FR_TEXT = "text.tc.fr"
FR = "0001abababababab-fr-common_voice_fr_1"


def read(path):
    """Read ``key value`` lines; Kaldi's and ESPnet's way, by the first blank."""
    lines = path.read_text("utf-8").split("\n")
    assert lines.pop() == ""
    return dict(line.split(" ", 1) for line in lines)


def numbers(folder):
    """Clips of a data directory: ``fr_1``."""
    names = (path.rpartition("/")[2] for path in read(folder / "wav.scp").values())
    return [name.partition("voice_")[2].rpartition(".")[0] for name in names]


@pytest.fixture
def prepare(corpus, tmp_path):
    """Function that prepares the corpus and returns the folder data."""

    def prepare(scenario="x2en", langs="fr,sv-SE", **options):
        voice, covost2 = corpus
        options = {
            "audio": "stat",
            "samu_langs": "none",
            "nj": 2,
            "output_dir": tmp_path / "data",
            "clips_dir": tmp_path / "clips",
            "conf_dir": CONF,
            **options,
        }
        command = ["covost2", "--commonvoice", str(voice), "--covost2", str(covost2)]
        command += ["--scenario", scenario, "--langs", langs]
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        command_line.main(command)
        return tmp_path / "data"

    return prepare


def test_one_direction(prepare, tmp_path):
    train = prepare(audio="convert") / "train.fr-en"
    assert sorted(p.name for p in train.glob("[!.]*")) == [
        *("spk2utt", "text.tc.en", "text.tc.fr"),
        *("utt2lang", "utt2spk", "utt2tgt_lang", "wav.scp"),
    ]
    said = {key.rpartition("_")[2]: v for key, v in read(train / "text.tc.fr").items()}
    assert said == {
        "1": '"Oui", dit-il.',
        "2": "l'eau \\ le vin",
        "3": "NA",
        "4": "null",
        "5": "De rien mon ami cher.",
        "6": "Il pleut.",
        "10": "Deux fois ici.",
        "11": "Deux fois traduit.",
    }
    meant = {key.rpartition("_")[2]: v for key, v in read(train / "text.tc.en").items()}
    assert meant["1"] == '"Yes", he said.'
    assert meant["2"] == "water \\ wine"
    assert (meant["3"], meant["4"]) == ("NaN", "None")
    assert meant["11"] == "Translated twice."  # the first of two
    wavs = read(train / "wav.scp")
    assert wavs[FR] == f"{tmp_path}/clips/fr/common_voice_fr_1.flac"
    assert read(train / "utt2spk")[FR] == client(1)[:16]
    assert set(read(train / "utt2lang").values()) == {"fr"}
    assert set(read(train / "utt2tgt_lang").values()) == {"en"}
    for file in train.glob("[!.]*"):
        keys = [line.split(b" ")[0] for line in file.read_bytes().splitlines()]
        assert keys == sorted(keys), file.name


def test_splits(prepare):
    data = prepare()
    assert numbers(data / "dev.fr-en") == ["fr_7"]
    assert numbers(data / "test.fr-en") == ["fr_9", "fr_8"]  # by speaker
    assert numbers(data / "train.sv-SE-en") == ["sv-SE_1", "sv-SE_2"]
    # A test set that stands alone has the names that a scenario asks for, too.
    test = data / "test.fr-en"
    for tag in ("x2en", "high2en", "x2x", "x2en_fr_sv-SE"):
        assert read(test / f"text.tc.{tag}") == read(test / "text.tc.en")
    assert read(test / "text.tc.multi") == read(test / "text.tc.fr")
    assert not (test / "text.tc.en2x").exists()


def test_counts_and_faults(prepare, corpus, capsys, tables):
    work = prepare(audio="convert") / "local" / "x2en_fr_sv-SE"
    counts = json.loads((work / "counts.json").read_text())
    sets = {(s["set"], s["split"]): s for s in counts["sets"]}
    assert sets["fr-en", "train"] == {
        "set": "fr-en",
        "split": "train",
        "listed": 15,
        "dropped": {
            "duplicate clip": 1,
            "empty transcript": 1,
            "empty translation": 1,
            "not in validated.tsv": 1,
            "missing audio": 1,
            "zero-length audio": 1,
            "undecodable audio": 1,
        },
        "kept": 8,
    }
    assert [sets["fr-en", s]["kept"] for s in ("dev", "test")] == [1, 2]
    assert [sets["sv-SE-en", s]["kept"] for s in ("train", "dev", "test")] == [2, 1, 1]
    overlaps = [[*overlap.values()] for overlap in counts["speaker_overlaps"]]
    assert overlaps == [
        ["fr-en", "train", "test", 1, 1],
        ["sv-SE-en", "train", "dev", 1, 1],
        ["sv-SE-en", "train", "test", 1, 1],
        ["sv-SE-en", "dev", "test", 1, 1],
    ]
    speakers = (work / "speakers.tsv").read_text().splitlines()[1:]
    assert speakers[0] == f"fr-en\ttrain+test\t{client(1)[:16]}"
    assert len(speakers) == 4
    faults = (work / "faults.tsv").read_text().splitlines()[1:]
    translations = f"{corpus[1]}/covost_v2.fr_en.tsv"
    validated = f"{corpus[0]}/{RELEASE}/fr/validated.tsv"
    assert sorted(faults) == sorted(
        "\t".join(fault)
        for fault in (
            [
                ("fr-en", "train", clip("fr", n), "dropped", reason, translations, line)
                for n, reason, line in (
                    (11, "duplicate clip", "13"),
                    (12, "empty transcript", "14"),
                    (13, "empty translation", "15"),
                    (14, "missing audio", "16"),
                    (15, "zero-length audio", "17"),
                    (16, "undecodable audio", "18"),
                    (17, "not in validated.tsv", "19"),
                )
            ]
            + [
                (name, "-", what, "noted", reason, file, line)
                for name, what, reason, file, line in (
                    ("fr", clip("fr", 10), "duplicate in validated.tsv", validated)
                    + ("12",),
                    ("fr", "line 64", "malformed line of validated.tsv", validated)
                    + ("64",),
                    ("fr", "line 65", "malformed line of validated.tsv", validated)
                    + ("65",),
                    ("fr-en", "line 21", "malformed line of translations")
                    + (translations, "21"),
                )
            ]
        )
    )
    printed = capsys.readouterr().out
    assert printed == (work / "counts.md").read_text() + "\n"
    rows, kinds = tables(printed)
    assert (
        rows[0].items()
        >= {
            **{"set": "fr-en", "split": "train", "listed": "15", "duplicate clip": "1"},
            **{"kept": "8", "published": "207374", "difference": "-207366"},
        }.items()
    )
    assert kinds[0] == {
        "reason": "malformed line of validated.tsv",
        "what is done": "noted",
        "first example": f"line 64 ({validated}:64)",
        "number": "2",
    }
    assert len(kinds) == 10
    assert "- fr-en: speakers: 1 of train in test (1 utterances there)\n" in printed


def test_directions_together(prepare):
    train = prepare(audio="convert") / "train.x2en_fr_sv-SE"
    assert sorted(p.name for p in train.glob("[!.]*")) == [
        *("spk2utt", "text.tc.multi", "text.tc.x2en_fr_sv-SE"),
        *("utt2lang", "utt2spk", "utt2tgt_lang", "wav.scp"),
    ]
    langs = list(read(train / "utt2lang").values())
    assert (langs.count("fr"), langs.count("sv-SE")) == (8, 2)
    texts = read(train / "text.tc.x2en_fr_sv-SE")
    assert texts[FR] == '"Yes", he said.'
    assert list(texts) == sorted(texts)
    speakers = read(train / "spk2utt")
    assert speakers[client(1)[:16]].split() == [FR, f"{FR[:-1]}2"]
    assert {u for utts in speakers.values() for u in utts.split()} == set(texts)


def test_zero_shot_scenario(prepare):
    data = prepare("high2en")
    for split in ("train", "dev"):
        langs = read(data / f"{split}.high2en_fr_sv-SE" / "utt2lang").values()
        assert set(langs) == {"fr"}
    langs = read(data / "test.high2en_fr_sv-SE" / "utt2lang").values()
    assert sorted(langs) == ["fr", "fr", "sv-SE"]


def test_many_targets(prepare):
    data = prepare("en2x", "de,sv-SE")
    single, both = data / "train.en-de", data / "train.en2x_de_sv-SE"
    utt = f"{client(31)[:16]}-en-common_voice_en_1"
    assert read(single / "text.tc.de")[f"{utt}-de"] == "de 1."
    assert len(read(both / "wav.scp")) == 8
    assert read(both / "text.tc.en2x_de_sv-SE")[f"{utt}-sv-SE"] == "sv-SE 1."
    assert read(both / "text.tc.multi")[f"{utt}-sv-SE"] == "Clip 1."
    assert read(both / "utt2tgt_lang")[f"{utt}-sv-SE"] == "sv-SE"
    assert len(set(read(both / "wav.scp").values())) == 4


def test_all_directions(prepare):
    data = prepare("multi")
    test = data / "test.x2x_fr_sv-SE"
    langs, targets = read(test / "utt2lang"), read(test / "utt2tgt_lang")
    assert sorted(f"{langs[utt]}-{targets[utt]}" for utt in langs) == [
        *("en-sv-SE", "en-sv-SE", "fr-en", "fr-en", "sv-SE-en")
    ]
    # Transcripts and translations are two files.
    assert read(test / "text.tc.multi") != read(test / "text.tc.x2x_fr_sv-SE")


def test_short_development_set(prepare):
    data = prepare("en2x", "de,sv-SE", dev_per_direction=1)
    assert len(read(data / "dev.en-de" / "wav.scp")) == 2
    dev = data / "dev.en2x_de_sv-SE"
    assert len(read(dev / "text.tc.multi")) == 2
    # The same clip for both targets.
    assert len(set(read(dev / "wav.scp").values())) == 1
    assert set(read(dev / "spk2utt").values()) == {" ".join(read(dev / "wav.scp"))}


def test_converted_clips(prepare, tmp_path):
    data = prepare(audio="convert")
    wavs = read(data / "train.x2en_fr_sv-SE" / "wav.scp")
    assert wavs[FR] == f"{tmp_path}/clips/fr/common_voice_fr_1.flac"
    assert all(os.path.getsize(path) > 0 for path in wavs.values())
    assert len(wavs) == 10


def test_converted_clips_that_are_gone(prepare, tmp_path):
    options = {"audio": "convert", "samu_langs": "cs"}
    data = prepare(**options)
    clips = tmp_path / "clips"
    there = sorted(clips.rglob("*.flac"))
    shutil.rmtree(clips)  # rm -rf dump
    prepare(**options)
    assert sorted(clips.rglob("*.flac")) == there
    # One clip alone, of the distillation.
    wav, *_ = read(data / "samu_train" / "wav.scp").values()
    os.unlink(wav)
    prepare(**options)
    assert os.path.getsize(wav) > 0


@pytest.fixture
def state(tmp_path):
    """Function that returns names and times of all that was written."""

    def state():
        files = (tmp_path / "data").rglob("*")
        return {str(p): p.stat().st_mtime_ns for p in files if p.is_file()}

    return state


def test_again(prepare, corpus, state, caplog):
    data = prepare(samu_langs="cs")
    before = state()
    prepare(samu_langs="cs")
    assert state() == before
    # Of another development set the options are others; of the distillation not.
    prepare(samu_langs="cs", dev_per_direction=7)
    changed = {name for name, time in state().items() if before[name] != time}
    assert any("train.fr-en" in name for name in changed)
    assert not any("samu" in name for name in changed)
    # An input that was touched.
    before = state()
    os.utime(corpus[1] / "covost_v2.fr_en.tsv", (1, 1))
    prepare(samu_langs="cs", dev_per_direction=7)
    assert all(before[name] != time for name, time in state().items())
    # A set that is gone.
    shutil.rmtree(data / "dev.fr-en")
    prepare(samu_langs="cs", dev_per_direction=7)
    assert numbers(data / "dev.fr-en") == ["fr_7"]


def test_one_scenario_after_the_other(prepare, state):
    data = prepare()
    prepare("high2en")
    # test.fr-en is another's now, without this one's names.
    assert not (data / "test.fr-en" / "text.tc.x2en_fr_sv-SE").exists()
    prepare()
    assert (data / "test.fr-en" / "text.tc.x2en_fr_sv-SE").exists()
    before = state()
    prepare()
    assert state() == before


def test_interrupted(prepare, corpus, tmp_path, monkeypatch):
    data = prepare()
    before = read(data / "train.fr-en" / "text.tc.en")
    os.utime(corpus[1] / "covost_v2.fr_en.tsv", (1, 1))
    with monkeypatch.context() as patch:

        def stop(*args, **kwargs):
            raise KeyboardInterrupt

        patch.setattr("espnet_samu.corpora.covost2.combine", stop)
        with pytest.raises(KeyboardInterrupt):
            prepare()
    # Sets are whole, and not taken for the end.
    assert read(data / "train.fr-en" / "text.tc.en") == before
    assert not (data / "local" / "x2en_fr_sv-SE" / "done.json").exists()
    assert not [p.name for p in data.iterdir() if p.name.startswith(".")]
    prepare()
    assert (data / "local" / "x2en_fr_sv-SE" / "done.json").exists()


def test_what_is_not_ours_is_kept(prepare, tmp_path):
    mine = tmp_path / "data" / "train.fr-en"
    mine.mkdir(parents=True)
    (mine / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="not empty and was not made by"):
        prepare()
    assert (mine / "thesis.txt").read_text() == "mine"


def distil(prepare, samu_langs, **options):
    """Make the sets of the distillation; dropped clips by language and reason."""
    data = prepare(samu_langs=samu_langs, **options)
    counts = json.loads((data / "local" / "samu_train" / "counts.json").read_text())
    return data, {entry["set"]: entry for entry in counts["sets"]}


def test_distillation(prepare, corpus, tables):
    data, counts = distil(prepare, "fr,sv-SE,en,cs", audio="convert")
    dropped = counts["fr"]["dropped"]
    assert counts["fr"]["listed"] == 61
    assert dropped["clip of a dev or test set"] == 3
    assert dropped["sentence of a dev or test set"] == 2
    assert dropped["empty transcript"] == 2
    # A clip of development may be one that cannot be used.
    audio = ("missing audio", "zero-length audio", "undecodable audio")
    assert [dropped[reason] for reason in audio] == [1, 1, 1]
    assert counts["cs"]["dropped"] == {"sentence of a dev or test set": 1}
    assert counts["en"]["dropped"] == {"clip of a dev or test set": 4}
    assert counts["sv-SE"]["dropped"] == {"clip of a dev or test set": 2}

    train, dev = data / "samu_train", data / "samu_dev"
    assert sorted(p.name for p in train.glob("[!.]*")) == [
        *("spk2utt", "text.tc.multi", "utt2lang", "utt2spk", "wav.scp")
    ]
    langs = [*read(train / "utt2lang").values(), *read(dev / "utt2lang").values()]
    for lang in ("cs", "en", "fr", "sv-SE"):
        assert langs.count(lang) == counts[lang]["kept"]
    assert list(read(dev / "utt2lang").values()).count("cs") == 2  # 5 % of 40
    # No sentence on both sides; one clip a sentence for development.
    said = {sentence_key(text) for text in read(train / "text.tc.multi").values()}
    asked = [sentence_key(text) for text in read(dev / "text.tc.multi").values()]
    assert not said & set(asked) and len(asked) == len(set(asked))
    # 7, 8, 9: dev and test; 12, 22: no words; 14, 15, 16: no audio; 20, 21: said there.
    clips = {*numbers(train), *numbers(dev)}
    assert not clips & {f"fr_{n}" for n in (7, 8, 9, 12, 14, 15, 16, 20, 21, 22)}
    assert clips >= {f"fr_{n}" for n in (1, 2, 3, 10, 11, 13, 18)}
    table = (data / "local" / "samu_train" / "counts.md").read_text()
    assert (
        tables(table)[0][-1].items()
        >= {
            **{"set": "all", "listed": "114", "kept": f"{len(langs)}"},
            **{"clip of a dev or test set": "9", "sentence of a dev or test set": "3"},
        }.items()
    )


def test_nothing_of_the_tests_by_another_way(prepare, corpus):
    """Look for what is held out with code of our own."""
    data, _ = distil(prepare, "fr,sv-SE,en,cs")
    held = {"fr_7", "fr_8", "fr_9", "sv-SE_3", "sv-SE_4"} | {f"en_{n}" for n in "5678"}
    words = {
        *("ledéveloppement", "letest", "encoreuntest", "mening3", "mening4"),
        *("thedevelopment", "thetest", "onemoretest", "sentence3", "sentence4"),
        *(f"clip{n}" for n in "5678"),
        *(f"{t}{n}" for t in ("de", "svse") for n in "5678"),
    }
    for name in ("samu_train", "samu_dev"):
        assert not held & set(numbers(data / name))
        for text in read(data / name / "text.tc.multi").values():
            assert "".join(filter(str.isalnum, text.lower())) not in words


def test_the_check_of_what_was_written(prepare, corpus):
    data, _ = distil(prepare, "fr,cs")
    held_out = CovostHeldOut(CommonVoice(corpus[0]), corpus[1])
    held_out.read()
    held_out.check(data / "samu_train")
    wavs = (data / "samu_train" / "wav.scp").read_text()
    (data / "samu_train" / "wav.scp").write_text(f"{wavs}x /a/{clip('fr', 8)}\n")
    with pytest.raises(ValueError, match="samu_train: x is of a dev or test set"):
        held_out.check(data / "samu_train")
    (data / "samu_train" / "wav.scp").write_text(wavs)
    with (data / "samu_train" / "text.tc.multi").open("a") as f:
        f.write("y Le... TEST\n")
    with pytest.raises(ValueError, match="y says a sentence of a dev or test set"):
        held_out.check(data / "samu_train")


def test_languages_that_cannot_be_checked_are_left_out(prepare, corpus, caplog):
    for path in (corpus[0] / RELEASE / "en").glob("covost_v2.*"):
        path.unlink()
    data, counts = distil(prepare, "en,cs")
    assert sorted(counts) == ["cs"]
    assert "distillation: without en: " in caplog.text


def test_limits(prepare):
    data, counts = distil(prepare, "cs", samu_max_clips=10, samu_dev_per_lang=1)
    assert counts["cs"]["dropped"]["over --samu_max_clips"] == 29
    assert len(numbers(data / "samu_train")) == 10
    assert len(numbers(data / "samu_dev")) == 1


def test_another_release(prepare, tmp_path, write_clips):
    later = tmp_path / "later"
    write_language(later, "cs", [(1, n, f"Jiná věta {n}.") for n in range(90, 130)])
    write_clips(later, "cs", range(90, 130))
    data, counts = distil(prepare, "cs", samu_commonvoice=later)
    assert counts["cs"]["kept"] == 40
    assert "cs_90" in numbers(data / "samu_train") + numbers(data / "samu_dev")


@pytest.fixture
def later(corpus, tmp_path, write_clips):
    """A later release of fr, which release 4 lacks: without clip 9 of the test set.

    Clips 80 and 81 say the sentences of the held-out clips 8 and 9.
    """
    for language in (corpus[0] / RELEASE).iterdir():
        if language.name == "fr":
            language.rename(tmp_path / "fr4")
    texts = {7: "Le développement.", 8: "Le test.", 80: "LE TEST"}
    texts[81] = "Encore un test !"
    texts |= {n: f"Phrase numéro {n}." for n in range(30, 70)}
    rows = [(n, n, text) for n, text in texts.items()]
    later = tmp_path / "later"
    write_language(later, "fr", rows)
    write_clips(later, "fr", texts)
    write_language(later, "cs", [(1, n, f"Jiná věta {n}.") for n in range(90, 130)])
    write_clips(later, "cs", range(90, 130))
    return later


def test_unknown_sentences_of_tests(prepare, later, caplog, tmp_path):
    def distil_later():
        options = {"scenario": "en2x", "langs": "sv-SE", "samu_commonvoice": later}
        return distil(prepare, "fr,cs", **options)

    data, counts = distil_later()
    assert sorted(counts) == ["cs"]
    folder = tmp_path / "cv" / "fr"
    assert "distillation: without fr: of 1 of 3 clips of its dev and test" in (
        caplog.text
    )
    assert f"Put validated.tsv of release 4 into {folder};" in caplog.text
    table = (data / "local" / "samu_train" / "counts.md").read_text()
    assert table.endswith("whose sentence is not known: 1 of 3\n")
    # The mend that it names.
    folder.mkdir()
    shutil.copy(tmp_path / "fr4" / "validated.tsv", folder)
    data, counts = distil_later()
    assert counts["fr"]["dropped"] == {
        "clip of a dev or test set": 2,
        "sentence of a dev or test set": 2,
    }
    assert counts["fr"]["kept"] == 40
    assert not {"fr_80", "fr_81"} & {*numbers(data / "samu_train")}
    assert "left out" not in (data / "local/samu_train/counts.md").read_text()


def test_sentences_that_a_later_release_knows(prepare, later):
    table = later / "fr" / "validated.tsv"
    line = f"{client(9)}\t{clip('fr', 9)}\tEncore un test.\t2\t0\t\t\t\n"
    table.write_text(table.read_text() + line)
    options = {"scenario": "en2x", "langs": "sv-SE", "samu_commonvoice": later}
    _, counts = distil(prepare, "fr,cs", **options)
    assert counts["fr"]["dropped"] == {
        "clip of a dev or test set": 3,
        "sentence of a dev or test set": 2,
    }


def fails(corpus, capsys, *command):
    """Run with a mistake; what it says."""
    options = ["covost2", "--commonvoice", str(corpus[0])]
    options += ["--covost2", str(corpus[1]), "--conf_dir", str(CONF)]
    output = str(corpus[0].parent / "data")
    options += ["--output_dir", output, "--audio", "stat", "--samu_langs", "none"]
    with pytest.raises(SystemExit) as end:
        run(command_line.main, [*options, *command])
    assert end.value.code == 1
    assert not os.path.exists(output)
    return capsys.readouterr().err


def test_missing_corpora(corpus, capsys):
    message = fails(corpus, capsys, "--langs", "it")
    assert f"no {corpus[0]}/it/validated.tsv; unpack 'it' of release 4" in message
    message = fails(corpus, capsys, "--scenario", "en2x", "--langs", "tr")
    assert "no covost_v2.en_tr.tsv (or .tar.gz) in " in message
    assert "by --covost2, or as COVOST2 in the environment or db.sh" in message
    message = fails(corpus, capsys, "--commonvoice", "/nowhere")
    assert "Common Voice: no folder '/nowhere'" in message
    assert "by --commonvoice, or as COMMONVOICE in the environment or db.sh" in message
    shutil.copytree(corpus[0] / RELEASE / "fr", corpus[0] / "fr")
    message = fails(corpus, capsys, "--langs", "fr")
    assert "give the folder of one release" in message


def test_wrong_languages(corpus, capsys):
    assert "--langs 'xx' is not one of fr de" in fails(corpus, capsys, "--langs", "xx")
    message = fails(corpus, capsys, "--scenario", "high2en", "--langs", "cy")
    assert "leaves no direction of high2en to train on" in message


def test_language_that_was_asked_for_and_is_not_there(corpus, capsys):
    message = fails(corpus, capsys, "--samu_langs", "fr,xx")
    assert (
        f"--samu_langs: xx: no such folder with a validated.tsv in {corpus[0]}"
        in message
    )


def test_folder_of_one_language_each(corpus, prepare):
    """The layout of ESPnet's own recipe: no folder of the release between."""
    for path in (corpus[0] / RELEASE).iterdir():
        path.rename(corpus[0] / path.name)
    assert len(numbers(prepare(audio="convert") / "train.fr-en")) == 8


def test_speakers():
    assert speaker_id(client(1), "a.mp3") == client(1)[:16]
    others = {speaker_id(*pair) for pair in (("", "a"), ("", "b"), ("Anne", "a"))}
    assert len(others) == 3 and {len(other) for other in others} == {16}


def test_validated(corpus):
    validated = read_validated(corpus[0] / RELEASE / "fr")
    assert len(validated.clips) == 61
    assert validated.clips[clip("fr", 10)].sentence == "Deux fois ici."
    assert validated.clips[clip("fr", 12)].sentence == ""
    assert validated.duplicates == [(clip("fr", 10), 12)]
    assert validated.malformed == [64, 65]


@pytest.fixture
def quoted(corpus):
    """Sentences of fr as a CSV writer left them: of 1, 8 (test) and 30 (twice)."""
    table = corpus[0] / RELEASE / "fr" / "validated.tsv"
    text = table.read_text("utf-8")
    for old, new in (
        ('"Oui", dit-il.', '"""Oui"", dit-il."'),
        ("Le test.", '"Le test."'),
        ("Phrase numéro 30.", '"Phrase ""numéro"" 30."'),
    ):
        assert f"\t{old}\t" in text
        text = text.replace(f"\t{old}\t", f"\t{new}\t")
    table.write_text(text, "utf-8")
    # A translation is never changed.
    table = corpus[1] / "covost_v2.fr_en.tsv"
    table.write_text(table.read_text().replace("It rains.", '"It rains."'))


def test_quotes_of_csv_are_removed_from_transcripts(prepare, quoted):
    data, counts = distil(prepare, "fr,cs")
    said = read(data / "train.fr-en" / FR_TEXT)
    meant = read(data / "train.fr-en" / "text.tc.en")
    assert said[FR] == '"Oui", dit-il.'
    assert '"It rains."' in meant.values()
    assert list(read(data / "test.fr-en" / FR_TEXT).values())[1] == "Le test."
    table = (data / "local" / "x2en_fr_sv-SE" / "counts.md").read_text()
    note = f"removed from 3 of 61 transcripts, such as that of {clip('fr', 1)}\n"
    assert f"- fr: CSV quotes {note}" in table
    assert note in (data / "local" / "samu_train" / "counts.md").read_text()
    assert counts["fr"]["dropped"]["sentence of a dev or test set"] == 2
    texts = {**read(data / "samu_train" / "text.tc.multi")}
    texts |= read(data / "samu_dev" / "text.tc.multi")
    assert 'Phrase "numéro" 30.' in texts.values()


def test_quotes_as_the_authors_read_them(prepare, quoted):
    data, counts = distil(prepare, "fr,cs")
    kept, again = distil(prepare, "fr,cs", keep_quotes="true")
    said = read(kept / "train.fr-en" / FR_TEXT)
    assert said[FR] == '"""Oui"", dit-il."'
    table = (data / "local" / "x2en_fr_sv-SE" / "counts.md").read_text()
    assert "CSV quotes" not in table
    assert again == counts


def test_combine_by_hand(tmp_path):
    for name, keys in (("one", "ac"), ("two", "bd")):
        folder = tmp_path / name
        folder.mkdir()
        for file in ("wav.scp", "utt2lang", "text"):
            (folder / file).write_text("".join(f"{k} {name}-{file}\n" for k in keys))
        (folder / "utt2spk").write_text("".join(f"{k} {k}\n" for k in keys))
    parts = {tmp_path / "one": {"text": "all"}, tmp_path / "two": {"text": "all"}}
    assert combine(parts, tmp_path / "both") == 4
    text = (tmp_path / "both" / "all").read_text()
    assert text == "a one-text\nb two-text\nc one-text\nd two-text\n"
    spk2utt = (tmp_path / "both" / "spk2utt").read_text()
    assert spk2utt == "a a\nb b\nc c\nd d\n"


def test_merging_is_sorting(tmp_path, monkeypatch):
    """Files of several blocks, of which one is empty and one is chosen from."""
    monkeypatch.setattr(data_dir, "_BLOCK", 50)
    keys = [f"{n * 7919 % 1000:03d}" for n in range(300)]
    lines = [f"{key} value of {key}\n" for key in keys]
    sources = []
    for n in range(4):
        path = tmp_path / f"{n}"
        path.write_text("".join(sorted(lines[n::3] if n < 3 else [])))
        chosen = {key.encode() for key in keys[2:100:3]} if n == 2 else None
        sources.append((path, chosen))
    count = data_dir.merge_files(sources, tmp_path / "all")
    expected = sorted([*lines[0::3], *lines[1::3], *lines[2:100:3]])
    assert (tmp_path / "all").read_text() == "".join(expected)
    assert count == len(expected)


def test_directions_are_those_of_the_corpus():
    assert len(set(INTO_ENGLISH)) == 21 and len(set(FROM_ENGLISH)) == 15
    assert set(FROM_ENGLISH) < set(INTO_ENGLISH)
    names = {n: (len(s.train), len(s.test)) for n, s in SCENARIOS.items()}
    assert names == {
        "x2en": (21, 21),
        "high2en": (4, 21),
        "en2x": (15, 15),
        "multi": (36, 36),
    }
    assert choose_scenario("multi").tag == "x2x"
    assert choose_scenario("x2en", ["tr", "fr"]).tag == "x2en_fr_tr"
    published = read_published(CONF / "covost2_counts.tsv")
    assert set(published) == {*INTO_ENGLISH, "en"}
    assert published["sv-SE"] == {"train": 2160, "dev": 1349, "test": 1595}
