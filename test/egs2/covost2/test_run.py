"""run.sh and local/data.sh, in a copy of the recipe."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import soundfile
import yaml

from .conftest import RECIPE, ROOT

MINI = ROOT / "egs2" / "mini_asterisk" / "samu_st1"


def call(command, cwd, **env):
    """Run a command and return its status and all that it said."""
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HF_HUB_OFFLINE": "1", **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return result.returncode, result.stdout


@pytest.fixture
def recipe(tmp_path):
    """A checkout with a copy of the recipe, without what a run has left there."""
    (tmp_path / "egs2" / "covost2").mkdir(parents=True)
    (tmp_path / "tools").symlink_to(ROOT / "tools")
    (tmp_path / "egs2" / "TEMPLATE").symlink_to(ROOT / "egs2" / "TEMPLATE")
    copy = tmp_path / "egs2" / "covost2" / "samu_st1"
    made = shutil.ignore_patterns("data", "dump", "exp", "__pycache__")
    shutil.copytree(RECIPE, copy, symlinks=True, ignore=made)
    return copy


@pytest.fixture
def options(recipe):
    """Function that returns what run.sh hands to samu_st.sh."""
    (recipe / "samu_st.sh").unlink()
    (recipe / "samu_st.sh").write_text("#!/usr/bin/env bash\nprintf '%s\\n' \"$@\"\n")
    (recipe / "samu_st.sh").chmod(0o755)

    def options(*command):
        status, output = call(["./run.sh", *command], recipe)
        assert status == 0, output
        lines = output.split("\n")[:-1]
        assert all(line.startswith("--") for line in lines[::2]), lines
        return dict(zip(lines[::2], lines[1::2]))

    return options


def test_links_are_those_of_the_mini_recipe():
    links = {p.name: str(p.readlink()) for p in MINI.iterdir() if p.is_symlink()}
    assert links == {
        p.name: str(p.readlink()) for p in RECIPE.iterdir() if p.is_symlink()
    }
    template = ROOT / "egs2" / "TEMPLATE" / "st1"
    for name in ("cmd.sh", "conf/pbs.conf", "conf/queue.conf", "conf/slurm.conf"):
        assert (RECIPE / name).read_bytes() == (template / name).read_bytes()
    for name in ("run.sh", "local/data.sh"):
        assert (RECIPE / name).stat().st_mode & 0o111, f"{name} cannot be run"


def test_defaults(options):
    given = options()
    assert given["--local_data_opts"].split() == [
        *("--scenario", "x2en"),
        *("--samu_train_set", "samu_train", "--samu_valid_set", "samu_dev"),
    ]
    assert given["--tgt_lang"] == "x2en"
    assert given["--train_set"] == "train.x2en"
    assert given["--valid_set"] == "dev.x2en"
    assert given["--test_sets"] == "test.x2en"
    assert given["--st_config"] == "conf/train_st.yaml"
    assert given["--score_args"].split() == [
        *("--metrics", "bleu,chrf,ter", "--groups", "conf/language_groups.tsv")
    ]
    assert given["--report_args"].split() == ["--published", "conf/published.tsv"]
    assert given["--trim_vocab_args"] == ""
    mbart = "facebook/mbart-large-50-many-to-many-mmt"
    assert given["--hugging_face_model_name_or_path"] == mbart
    assert "--samu_model" not in given and "--retrieval_sets" not in given


def test_many_targets(options):
    for scenario, tag in (("en2x", "en2x"), ("multi", "x2x")):
        given = options("--scenario", scenario)
        assert given["--train_set"] == f"train.{tag}"
        assert given["--st_config"] == "conf/tuning/train_st_many.yaml"
        added = "--add_languages ca_ES=es_XX,cy_GB=en_XX"
        assert given["--trim_vocab_args"] == added
        assert given["--retrieval_sets"] == "samu_dev"
        assert "--ja_tokenizer char" in given["--score_args"]
        # No groups of the one source language.
        assert ("--groups" in given["--score_args"]) == (scenario == "multi")
        assert ("--published" in given["--report_args"]) == (scenario == "multi")
    nllb = "conf/tuning/train_st_nllb.yaml"
    decoder = yaml.safe_load((RECIPE / nllb).read_text())["decoder_conf"]["model"]
    for option in ("--st_config", "--st-config"):
        given = options("--scenario", "en2x", option, nllb)
        assert given["--hugging_face_model_name_or_path"] == decoder
        assert given["--trim_vocab_args"] == ""


def test_mbart_in_a_folder(options, recipe, tmp_path):
    model = tmp_path / "my_decoder"
    model.mkdir()
    config = recipe / "conf" / "tuning" / "train_st_many.yaml"
    text = re.sub("facebook/mbart[^ ]*", str(model), config.read_text())
    config.write_text(text)
    given = options("--scenario", "en2x")
    assert given["--hugging_face_model_name_or_path"] == str(model)
    assert given["--trim_vocab_args"] == ""
    (model / "config.json").write_text('{\n  "model_type": "mbart"\n}\n')
    given = options("--scenario", "en2x")
    assert given["--trim_vocab_args"].startswith("--add_languages ca_ES=")


def test_parts(options):
    given = options("--scenario", "high2en", "--langs", "tr fr", "--ngpu", "4")
    assert given["--test_sets"] == "test.high2en_fr_tr"
    assert "--langs fr,tr" in given["--local_data_opts"]
    assert given["--ngpu"] == "4"
    given = options("--samu_langs", "fr,cs")
    assert given["--samu_train_set"] == "samu_train_cs_fr"
    # samu_st.sh names student, statistics and translation model after that.
    assert not {"--samu_tag", "--samu_stats_dir", "--st_tag"} & set(given)
    assert "--samu_langs cs,fr" in given["--local_data_opts"]
    many = "ar,bg,ca,cs,cy,da,de,el,en,eo"
    given = options("--samu_langs", many)
    assert given["--samu_train_set"].removeprefix("samu_train_").isdecimal()


def test_options_of_the_scores_are_added(options):
    given = options(
        *("--scenario", "en2x", "--ja_tokenizer", "ja-mecab"),
        *("--score_args", "--paired_bs_n 200", "--report_args", "--examples 9"),
    )
    assert given["--score_args"].split()[2:] == [
        *("--ja_tokenizer", "ja-mecab", "--paired_bs_n", "200")
    ]
    assert given["--report_args"].split() == ["--examples", "9"]


def test_each_direction_on_its_own(options):
    given = options("--scenario", "high2en", "--by_direction", "true")
    sets = given["--test_sets"].split()
    assert len(sets) == 21 and sets[:2] == ["test.fr-en", "test.de-en"]
    given = options("--scenario", "en2x", "--by_direction", "true", "--langs", "de")
    assert given["--test_sets"] == "test.en-de"


def test_student_from_elsewhere(options):
    given = options("--samu_model", "student.pth", "--commonvoice", "/cv")
    assert given["--samu_model"] == "student.pth"
    assert "--samu_train_set" not in given
    assert given["--local_data_opts"].split() == [
        *("--scenario", "x2en", "--commonvoice", "/cv", "--samu_langs", "none")
    ]


def test_parquet_in_the_place_of_both(options, recipe):
    given = options("--covost2_parquet", "someone/covost2", "--langs", "fr")
    assert "--covost2_parquet someone/covost2" in given["--local_data_opts"]
    both = ["--covost2_parquet", "/a", "--commonvoice", "/b"]
    status, output = call(["./run.sh", *both], recipe)
    assert status == 2
    assert "--covost2_parquet takes the place of --commonvoice and" in output


def test_help(recipe):
    status, output = call(["./run.sh", "--stage", "1", "--help"], recipe)
    assert status == 0
    own = (RECIPE / "run.sh").read_text().partition("\n}\n")[0].split("\n")
    names = [line.partition("=")[0] for line in own if re.match("[a-z_0-9]+=", line)]
    assert len(names) == 14 and "covost2_parquet" in names
    for name in names:
        assert f"\n    --{name} " in output
    assert "./samu_st.sh --help" in output


def test_mistakes(recipe):
    status, output = call(["./run.sh", "--scenario", "x2x"], recipe)
    assert status == 2
    assert "--scenario must be x2en, high2en, en2x or multi: 'x2x'" in output
    status, output = call(["./run.sh", "--covost2", "my corpora"], recipe)
    assert status == 2
    assert "st.sh cannot take a name with blanks; make a link" in output
    assert not (recipe / "data").exists()


@pytest.mark.timeout(60)  # st.sh, path.sh and a Python process each
def test_stage_1(recipe, corpus):
    command = ["./run.sh", "--stop_stage", "1", "--ngpu", "0", "--langs", "fr,sv-SE"]
    command += ["--samu_langs", "cs,fr", "--local_data_opts", "--nj 2"]
    voice, covost2 = map(str, corpus)
    status, output = call(command, recipe, COMMONVOICE=voice, COVOST2=covost2)
    assert status == 0, output
    assert "| fr-en    | train |     15 |" in output
    sets = sorted(p.name for p in (recipe / "data").iterdir() if p.name != "local")
    assert sets == sorted(
        [f"{s}.{d}" for s in ("train", "dev", "test") for d in ("fr-en", "sv-SE-en")]
        + [f"{s}.x2en_fr_sv-SE" for s in ("train", "dev", "test")]
        + ["samu_train_cs_fr", "samu_dev_cs_fr"]
    )
    for name in sets:
        assert f"Successfully validated data-directory data/{name}" in output
    for line in (recipe / "data/train.fr-en/wav.scp").read_text().splitlines():
        path = Path(line.split()[1])
        assert path.parts[:3] == ("dump", "clips", "fr")
        assert soundfile.info(recipe / path).samplerate == 16000


@pytest.mark.timeout(30)
def test_stage_1_without_a_corpus(recipe):
    status, output = call(["./run.sh", "--stop_stage", "1"], recipe)
    assert status != 0
    assert "Common Voice: no folder 'downloads'" in output


def test_another_release_is_another_student(options):
    plain, other = options(), options("--samu_commonvoice", "/data/cv-8.0/")
    assert plain["--samu_train_set"] == "samu_train"
    assert other["--samu_train_set"] == "samu_train_cv-8.0"
    assert other["--samu_valid_set"] == "samu_dev_cv-8.0"
    both = options("--samu_commonvoice", "/data/cv-8.0", "--samu_langs", "fr,cs")
    assert both["--samu_train_set"] == "samu_train_cs_fr_cv-8.0"


def test_by_direction_is_true_or_false(recipe):
    status, output = call(["./run.sh", "--by_direction", "yes"], recipe)
    assert status == 2
    assert output == "Error: --by_direction must be true or false: 'yes'\n"
