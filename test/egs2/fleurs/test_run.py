"""run.sh: what it passes on and refuses; stage 1 of both layouts."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
RECIPE = ROOT / "egs2" / "fleurs" / "samu_st1"
sys.path.insert(0, str(ROOT / "test" / "espnet_samu" / "corpora"))
EUROPARL = ROOT / "egs2" / "europarl" / "samu_st1"
STUB = """#!/usr/bin/env bash
printf '%s\\n' "$@"
"""
# As ESPnet writes it.
CONFIG = """train_data_path_and_name_and_type:
-   - dump/raw/train.high2en/wav.scp
    - speech
    - sound
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
    recipe = tmp_path / "egs2" / "fleurs" / "samu_st1"
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


@pytest.fixture
def other(recipe):
    """Experiments of another recipe: a student and a translation model."""
    other = recipe.parents[1] / "covost2" / "samu_st1"
    for name in ("exp/samu_a", "exp/st_a_raw_multi_x2en/tokenizer"):
        (other / name).mkdir(parents=True)
    for folder, name in (("samu_a", "r1"), ("st_a_raw_multi_x2en", "acc")):
        (other / "exp" / folder / "config.yaml").write_text(CONFIG)
        (other / "exp" / folder / f"valid.{name}.best.pth").write_text("weights")
        (other / "exp" / folder / "RESULTS.md").write_text("results")
        (other / "exp" / folder / "made_from.json").write_text("{}")
    data = other / "dump" / "raw" / "train.high2en"
    data.mkdir(parents=True)
    (data / "utt2lang").write_text("a fr\nb sv-SE\nc fr\n")
    (data / "utt2tgt_lang").write_text("a en\nb en\nc en\n")
    return other


OTHER = "../../covost2/samu_st1/exp"
STUDENT = f"{OTHER}/samu_a/valid.r1.best.pth"


def test_links_and_files_are_those_of_the_other_recipes():
    links = {p.name: str(p.readlink()) for p in RECIPE.iterdir() if p.is_symlink()}
    others = {p.name: str(p.readlink()) for p in EUROPARL.iterdir() if p.is_symlink()}
    assert links == others
    same = ("cmd.sh", "conf/pbs.conf", "conf/queue.conf", "conf/slurm.conf")
    for name in (*same, "local/path.sh", "conf/train_samu.yaml", "conf/decode_st.yaml"):
        assert (RECIPE / name).read_bytes() == (EUROPARL / name).read_bytes()
    # Comments differ; europarl's tests build and step it.
    ours, theirs = (
        yaml.safe_load((folder / "conf/train_st.yaml").read_text("utf-8"))
        for folder in (RECIPE, EUROPARL)
    )
    assert ours == theirs
    for name in ("run.sh", "local/data.sh"):
        assert os.access(RECIPE / name, os.X_OK)


def test_groups_have_all_languages():
    from fleurs_tree import FOLDERS

    from espnet_samu.corpora.fleurs_reader import language_code
    from espnet_samu.scoring.transfer_gap import read_groups

    groups = read_groups(RECIPE / "conf" / "language_groups.tsv")
    assert {*groups} == {*map(language_code, FOLDERS)} - {"en"}
    covost2 = read_groups(
        ROOT / "egs2" / "covost2" / "samu_st1" / "conf" / "language_groups.tsv"
    )
    for lang, group in covost2.items():
        assert lang == "en" or groups[lang.removesuffix("-SE")] == group


def test_retrieval_with_a_student_of_another_recipe(options, recipe, other):
    found = options("--samu_model", STUDENT, "--fleurs", "f", "--langs", "fr zh-CN,de")
    student = "exp/samu_a_covost2/valid.r1.best.pth"
    assert found["--samu_model"] == student
    assert (recipe / student).read_text() == "weights"
    assert found["--test_sets"] == "nway.x2en_de_fr_zh-CN"
    assert found["--local_data_opts"] == (
        "--tag x2en_de_fr_zh-CN --fleurs f --langs de,fr,zh-CN --test_only true "
    )
    assert found["--tgt_lang"] == "x2en_de_fr_zh-CN"
    assert (found["--test_only"], found["--skip_eval"]) == ("true", "true")
    assert found["--samu_label"] == "translation"
    assert "--st_exp" not in found


def test_translation_by_a_model_of_another_recipe(options, recipe, other):
    model = f"{OTHER}/st_a_raw_multi_x2en"
    before = sorted(other.rglob("*"))
    found = options("--st_exp", model, "--score_args", "--metrics bleu")
    exp = "exp/st_a_raw_multi_x2en_covost2"
    assert found["--st_exp"] == exp
    files = {path.name for path in (recipe / exp).iterdir()}
    assert files == {"config.yaml", "tokenizer", "valid.acc.best.pth"}
    assert found["--test_sets"] == "test.x2en"
    assert found["--test_only"] == "true" and "--samu_model" not in found
    assert found["--train_langs"] == "fr:en sv-SE:en"
    assert found["--score_args"] == (
        "--metrics bleu,chrf --groups conf/language_groups.tsv --metrics bleu"
    )
    assert sorted(other.rglob("*")) == before
    # Twice; languages by hand; a student beside it.
    found = options("--st_exp", model, "--train_langs", "de", "--samu_model", STUDENT)
    assert found["--st_exp"] == exp and found["--train_langs"] == "de"
    assert found["--samu_model"] == "exp/samu_a_covost2/valid.r1.best.pth"
    # One of another place, and one of this recipe.
    shutil.copytree(other / "exp" / "st_a_raw_multi_x2en", recipe.parent / "my_model")
    found = options("--st_exp", "../my_model", "--train_langs", "de", "--expdir", "e")
    assert found["--st_exp"].startswith("e/my_model_")
    assert options("--st_exp", exp, "--train_langs", "de")["--st_exp"] == exp


def test_training(options):
    found = options("--scenario", "train", "--langs", "fr")
    assert found["--train_set"] == "train.x2en_fr"
    assert found["--valid_set"] == "dev.x2en_fr"
    assert found["--test_sets"] == "test.x2en_fr"
    assert found["--samu_train_set"] == "samu_train_fr"
    assert found["--local_data_opts"] == (
        "--tag x2en_fr --langs fr --samu_train_set samu_train_fr "
        "--samu_valid_set samu_dev_fr "
    )
    model = "facebook/mbart-large-50-many-to-many-mmt"
    assert found["--hugging_face_model_name_or_path"] == model
    assert not {"--test_only", "--samu_label"} & {*found}
    langs = ",".join(f"{a}{b}" for a in "abcd" for b in "xyzw")
    tag = options("--scenario", "train", "--langs", langs)["--tgt_lang"]
    assert tag.removeprefix("x2en_").isdecimal()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            "",
            "name a student by --samu_model, a translation model by --st_exp, or pass",
        ),
        ("--scenario x2en", "--scenario must be retrieval, zeroshot or train: 'x2en'"),
        ("--scenario retrieval", "--scenario retrieval needs --samu_model"),
        ("--scenario zeroshot", "--scenario zeroshot needs --st_exp"),
        ("--samu_model a/b.pth", "a/b.pth: no such file"),
        ("--st_exp local", "local/config.yaml: no such file"),
        ("--st_exp", "value of --st_exp is missing"),
    ],
)
def test_one_error_for_a_mistake(recipe, arguments, message):
    status, output = call(["./run.sh", "--stage", "10", *arguments.split()], recipe)
    assert status != 0
    assert message in output
    assert output.count("\n") == 1


def test_training_languages_that_are_not_known(recipe, other):
    shutil.rmtree(other / "dump")
    model = f"{OTHER}/st_a_raw_multi_x2en"
    status, output = call(["./run.sh", "--st_exp", model], recipe)
    assert status == 2
    assert output == (
        f"Error: what {model} was trained on is not known: its training set is not "
        "there; name the languages by --train_langs\n"
    )
    assert not (recipe / "exp").exists()


def test_help(recipe):
    status, output = call(["./run.sh", "--stage", "1", "--help"], recipe)
    assert status == 0
    own = (RECIPE / "run.sh").read_text().partition("\nteacher=")[0].split("\n")
    names = [line.partition("=")[0] for line in own if "=" in line and line[0] != " "]
    assert len(names) == 9
    for name in names:
        assert f"\n    --{name} " in output


@pytest.mark.timeout(60)
def test_stage_1(recipe, other):
    from fleurs_tree import make_corpus

    tsv, shards = make_corpus(recipe.parent)
    command = ["./run.sh", "--langs", "fr", "--ngpu", "0", "--stop_stage", "1"]
    options = ["--samu_model", STUDENT, "--fleurs", shards]
    status, output = call([*command, *options], recipe)
    assert status == 0, output
    assert "Successfully validated data-directory data/nway.x2en_fr" in output
    assert not (recipe / "data" / "train.x2en_fr").exists()
    text = "test.x2en_fr/text.tc.x2en_fr"
    expected = (recipe / "data" / text).read_text()
    shutil.rmtree(recipe / "data")
    options = ["--langs", "fr", "--tag", "x2en_fr", "--fleurs", tsv]
    status, output = call(["local/data.sh", *options], recipe)
    assert status == 0, output
    assert (recipe / "data" / text).read_text() == expected
    assert "Successfully validated data-directory data/samu_dev" in output
    status, output = call(["local/data.sh", "--langs", "fr"], recipe)
    assert status == 2
    assert "Error: pass --fleurs <dir or hub id>, such as google/fleurs" in output
