"""run.sh and local/data.sh on the small tree."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
RECIPE = ROOT / "egs2" / "europarl" / "samu_st1"
MINI = ROOT / "egs2" / "mini_asterisk" / "samu_st1"
LANGS = "--src_langs de,fr --samu_langs de,en,fr"
STUB = """#!/usr/bin/env bash
printf '%s\\n' "$@"
"""


def call(command, cwd):
    """Run a command and return its status and all that it said."""
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return result.returncode, result.stdout


@pytest.fixture
def recipe(tmp_path):
    """A copy of the recipe in a checkout of its own."""
    recipe = tmp_path / "egs2" / "europarl" / "samu_st1"
    ignored = shutil.ignore_patterns("data", "dump", "exp", "__pycache__")
    shutil.copytree(RECIPE, recipe, symlinks=True, ignore=ignored)
    (tmp_path / "egs2" / "TEMPLATE").symlink_to(ROOT / "egs2" / "TEMPLATE")
    (tmp_path / "tools").symlink_to(ROOT / "tools")
    return recipe


@pytest.fixture
def options(recipe):
    """Return a function that says what run.sh passes to samu_st.sh."""
    (recipe / "samu_st.sh").unlink()
    (recipe / "samu_st.sh").write_text(STUB)
    (recipe / "samu_st.sh").chmod(0o755)

    def options(*arguments):
        status, output = call(["./run.sh", *arguments], recipe)
        assert status == 0, output
        words = output.split("\n")
        return dict(zip(words[::2], words[1::2]))

    return options


def data_sh(recipe, tree, *options):
    """Run stage 1 as st.sh does."""
    command = ["local/data.sh", "--europarl_st", tree.root, *LANGS.split()]
    return call([*command, *options], recipe)


def test_links_are_those_of_the_other_recipes():
    links = {p.name: str(p.readlink()) for p in RECIPE.iterdir() if p.is_symlink()}
    others = {p.name: str(p.readlink()) for p in MINI.iterdir() if p.is_symlink()}
    assert links == others
    st1 = ROOT / "egs2" / "TEMPLATE" / "st1"
    for name in ("cmd.sh", "conf/pbs.conf", "conf/queue.conf", "conf/slurm.conf"):
        assert (RECIPE / name).read_bytes() == (st1 / name).read_bytes()
    for name in ("run.sh", "local/data.sh"):
        assert os.access(RECIPE / name, os.X_OK)


def test_sets_of_a_scenario(options):
    found = options()
    assert found["--train_set"] == "train.x2en"
    assert found["--valid_set"] == "dev.x2en"
    assert found["--test_sets"] == "test.x2en"
    assert found["--samu_train_set"] == "samu_train"
    assert found["--samu_valid_set"] == "samu_dev"
    assert found["--tgt_lang"] == "x2en"
    assert found["--st_config"] == "conf/train_st.yaml"
    assert "--samu_tag" not in found
    assert found["--local_data_opts"] == (
        "--scenario x2en --tag x2en --with_noisy false --samu_train_set samu_train "
        "--samu_valid_set samu_dev "
    )
    assert "--retrieval_sets" not in found


def test_further_options_of_the_data_preparation(options):
    found = options("--local_data_opts", "--nj 8", "--europarl_st", "/corpus/v1.1")
    assert found["--local_data_opts"].endswith("--europarl_st /corpus/v1.1 --nj 8")


def test_a_student_that_is_there(options):
    found = options("--samu_model", "student.pth", "--with_noisy", "true")
    assert found["--samu_model"] == "student.pth"
    assert "--samu_train_set" not in found
    assert found["--train_set"] == "train.x2en_noisy"


def test_token_list_and_decoder_are_of_one_model(options):
    name = "--hugging_face_model_name_or_path"
    assert options()[name] == "facebook/mbart-large-50-many-to-many-mmt"
    found = options("--st_config", "conf/tuning/train_st_nllb.yaml")
    assert found[name] == "facebook/nllb-200-distilled-600M"


def test_m2m_has_its_own_configuration(options):
    assert (
        options("--scenario", "m2m")["--st_config"] == "conf/tuning/train_st_many.yaml"
    )
    other = "conf/tuning/train_st_adapters.yaml"
    found = options("--scenario", "m2m", "--st_config", other)
    assert found["--st_config"] == other
    assert found["--test_sets"] == "test.m2m"
    assert found["--retrieval_sets"] == "samu_dev"


def test_choices_have_names_of_their_own(options):
    found = options("--scenario", "zeroshot", "--ngpu", "4")
    assert found["--train_set"] == "train.zeroshot_de_es_fr"
    assert found["--ngpu"] == "4"
    found = options("--scenario", "zeroshot", "--st_src_langs", "it fr")
    assert found["--train_set"] == "train.zeroshot_fr_it"
    assert "--st_src_langs fr,it" in found["--local_data_opts"]
    found = options("--src_langs", "fr,de", "--samu_langs", "de fr en")
    assert found["--train_set"] == "train.x2en_src_de_fr"
    assert found["--samu_train_set"] == "samu_train_de_en_fr"
    assert found["--samu_tag"] == "train_samu_raw_de_en_fr"
    assert found["--samu_stats_dir"] == "exp/samu_stats_raw_de_en_fr"
    found = options("--with_noisy", "true")
    assert found["--train_set"] == "train.x2en_noisy"
    assert found["--samu_train_set"] == "samu_train_noisy"


def test_blanks_in_the_path_of_the_corpus(recipe):
    status, output = call(["./run.sh", "--europarl_st", "/my corpus"], recipe)
    assert status == 2
    assert "--europarl_st '/my corpus': blanks do not go through st.sh" in output


def test_unknown_scenario(recipe):
    status, output = call(["./run.sh", "--scenario", "en2x", "--stage", "10"], recipe)
    assert status == 2
    assert "--scenario must be x2en, m2m or zeroshot: 'en2x'" in output


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
    assert "stage 1: Read" in output
    wav = recipe / "data" / "train.x2en" / "wav.scp"
    written = wav.stat().st_mtime_ns
    status, output = data_sh(recipe, tree)
    assert status == 0, output
    assert "data/*.x2en are there already" in output
    assert "stage 1: Read" not in output
    assert wav.stat().st_mtime_ns == written


def change_a_file(recipe, tree):
    tree.replace("de-en", "test", "segments.en", "en of de test.0 0.5", "mended")


def remove_a_set(recipe, tree):
    shutil.rmtree(recipe / "data" / "dev.de-en")


@pytest.mark.parametrize(
    "change, options",
    [
        (change_a_file, ""),
        (remove_a_set, ""),
        (lambda recipe, tree: None, "--with_noisy true"),
    ],
)
def test_made_again(recipe, tree, read, change, options):
    assert data_sh(recipe, tree)[0] == 0
    change(recipe, tree)
    status, output = data_sh(recipe, tree, *options.split())
    assert status == 0
    assert "stage 1: Read" in output
    assert (recipe / "data" / "dev.de-en" / "wav.scp").exists()
    text = read(recipe / "data" / "test.de-en" / "text.tc.en")
    assert ("mended" in text.values()) is (change is change_a_file)
    assert len(read(recipe / "data/train.x2en/text.tc.x2en")) == (10 if options else 8)


def test_another_scenario_in_between(recipe, tree):
    assert data_sh(recipe, tree)[0] == 0
    options = "--with_noisy true --tag x2en_noisy --samu_train_set samu_train_noisy"
    assert data_sh(recipe, tree, *options.split())[0] == 0
    # It has written train.de-en, which is ours, too.
    assert "stage 1: Read" in data_sh(recipe, tree)[1]


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
    assert "stage 1: Read" in output


@pytest.mark.parametrize(
    "option, message",
    [
        ([], "--europarl_st is required: the folder v1.1 of https://"),
        (["--europarl_st", "nowhere"], "--europarl_st nowhere: no such folder"),
        (["--europarl_st", "local"], "no <language>/audios in it; name the folder"),
    ],
)
def test_no_corpus(recipe, option, message):
    status, output = call(["local/data.sh", *option], recipe)
    assert status == 2
    assert message in output
