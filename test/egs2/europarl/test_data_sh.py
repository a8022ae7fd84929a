"""local/data.sh on the small tree."""

import shutil

import pytest
import soundfile

from .shell import call

THERE = "the sets are there already"
LANGS = "--src_langs de,fr --samu_langs de,en,fr"


def data_sh(recipe, tree, *options):
    """Run stage 1 as st.sh does."""
    command = ["local/data.sh", "--europarl_st", tree.root, *LANGS.split()]
    return call([*command, *options], recipe)


def test_stage_1(recipe, tree, read):
    command = ["./run.sh", "--europarl_st", tree.root.parent, *LANGS.split()]
    command += ["--scenario", "zeroshot", "--st_src_langs", "de"]
    status, output = call([*command, "--stop_stage", "1", "--ngpu", "0"], recipe)
    assert status == 0, output
    data = recipe / "data"
    tag = "zeroshot_de_src_de_fr"
    assert set(read(data / f"train.{tag}" / "utt2lang").values()) == {"de"}
    text = read(data / f"test.{tag}" / f"text.tc.{tag}")
    assert text["EUmember_0-fr_test.0-00000500_00001250-en"] == "en of fr test.0 0.5"
    assert "Successfully validated data-directory data/samu_dev_de_en_fr" in output


def test_twice(recipe, tree):
    status, output = data_sh(recipe, tree)
    assert status == 0, output
    assert THERE not in output
    wav = recipe / "data" / "train.x2en" / "wav.scp"
    written = wav.stat().st_mtime_ns
    status, output = data_sh(recipe, tree)
    assert status == 0, output
    assert THERE in output
    assert wav.stat().st_mtime_ns == written


def change_a_file(recipe, tree):
    tree.replace("de-en", "test", "segments.en", "en of de test.0 0.5", "mended")


def remove_a_set(recipe, tree):
    shutil.rmtree(recipe / "data" / "dev.de-en")


def replace_a_recording(recipe, tree):
    """In place: the folder has the same names, and its time is the same."""
    path = tree.root / "de" / "audios" / "dev.0.flac"
    samples, rate = soundfile.read(path)
    with path.open("r+b") as file:
        soundfile.write(file, samples / 2, rate, format="FLAC")


@pytest.mark.parametrize(
    "change, options",
    [
        (change_a_file, ""),
        (remove_a_set, ""),
        (replace_a_recording, ""),
        (lambda recipe, tree: None, "--with_noisy true"),
    ],
)
def test_made_again(recipe, tree, read, change, options):
    assert data_sh(recipe, tree)[0] == 0
    change(recipe, tree)
    status, output = data_sh(recipe, tree, *options.split())
    assert status == 0
    assert THERE not in output
    assert (recipe / "data" / "dev.de-en" / "wav.scp").exists()
    text = read(recipe / "data" / "test.de-en" / "text.tc.en")
    assert ("mended" in text.values()) is (change is change_a_file)
    assert len(read(recipe / "data/train.x2en/text.tc.x2en")) == (10 if options else 8)


def test_another_scenario_in_between(recipe, tree):
    assert data_sh(recipe, tree)[0] == 0
    options = "--with_noisy true --tag x2en_noisy --samu_train_set samu_train_noisy"
    assert data_sh(recipe, tree, *options.split())[0] == 0
    # It has written train.de-en, which is ours, too.
    assert THERE not in data_sh(recipe, tree)[1]


# As if the power went after a set has been written.
STOP = """
import os
import runpy
import signal
import sys

from espnet_samu.corpora.europarl_st import DataSets

write = DataSets._write


def write_and_stop(self, data, tally):
    write(self, data, tally)
    if tally.name == os.environ.get("STOP_AT"):
        os.kill(os.getpid(), signal.SIGKILL)


DataSets._write = write_and_stop
sys.argv[:3] = [sys.argv[2]]
runpy.run_module(sys.argv[0], run_name="__main__")
"""
STOPPED = "python3 stop.py"


def contents(data):
    """Every file of the sets, by name."""
    files = (path for path in data.glob("[a-z]*/*") if path.parent.name != "local")
    return {str(path.relative_to(data)): path.read_text() for path in files}


def test_a_stopped_stage_1_is_not_trusted(recipe, tree, monkeypatch):
    (recipe / "stop.py").write_text(STOP)
    data = recipe / "data"
    assert data_sh(recipe, tree)[0] == 0
    tree.replace("de-en", "train", "segments.en", "en of de train.0 0.5", "mended")
    monkeypatch.setenv("STOP_AT", "train.de-en")
    assert data_sh(recipe, tree, "--python", STOPPED)[0] != 0
    assert not (data / "local" / "x2en" / "done.json").exists()
    stopped = contents(data)
    monkeypatch.delenv("STOP_AT")
    status, output = data_sh(recipe, tree)
    assert status == 0
    assert THERE not in output
    # Each set was whole, as before or as afterwards.
    different = {name for name, text in contents(data).items() if stopped[name] != text}
    assert different == {"train.x2en/text.tc.x2en"}


def test_a_mistake_keeps_the_old_sets(recipe, tree):
    assert data_sh(recipe, tree)[0] == 0
    before = (recipe / "data" / "train.x2en" / "segments").read_text()
    path = tree.folder("de-en", "train") / "segments.de"
    content = path.read_text()
    path.write_text(content + "one line too many\n")
    status, output = data_sh(recipe, tree)
    assert status == 1
    assert f"{path}:5: 5 lines, but segments.lst beside it has 4" in output
    assert "Traceback" not in output
    assert (recipe / "data" / "train.x2en" / "segments").read_text() == before
    path.write_text(content)
    status, output = data_sh(recipe, tree)
    assert status == 0
    assert THERE not in output


@pytest.mark.parametrize(
    "option, message",
    [
        ([], "Error: pass --europarl_st <dir>: the folder v1.1 of https://"),
        (["--europarl_st", "nowhere"], "--europarl_st nowhere: no such folder"),
        (["--europarl_st", "local"], "no <language>/audios in it; name the folder"),
    ],
)
def test_no_corpus(recipe, option, message):
    status, output = call(["local/data.sh", *option], recipe)
    assert status == 2
    assert message in output
