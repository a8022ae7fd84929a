"""run.sh: what it passes on, and what it refuses."""

import os
from pathlib import Path

import pytest

from .shell import call

ROOT = Path(__file__).parents[3]
RECIPE = ROOT / "egs2" / "europarl" / "samu_st1"
MINI = ROOT / "egs2" / "mini_asterisk" / "samu_st1"
STUB = """#!/usr/bin/env bash
printf '%s\\n' "$@"
"""


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
    for option in ("--st_config", "--st-config"):
        found = options(option, "conf/tuning/train_st_nllb.yaml")
        assert found[name] == "facebook/nllb-200-distilled-600M"
        assert found["--st_config"] == "conf/tuning/train_st_nllb.yaml"
    # A value is no option.
    assert options("--st_tag", "scenario")["--st_tag"] == "scenario"


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
    # samu_st.sh names student, statistics and translation model after that.
    assert not {"--samu_tag", "--samu_stats_dir", "--st_tag"} & set(found)
    found = options("--with_noisy", "true")
    assert found["--train_set"] == "train.x2en_noisy"
    assert found["--samu_train_set"] == "samu_train_noisy"


def test_scores_of_a_run(options):
    found = options()
    assert found["--score_args"] == "--metrics bleu,chrf,ter "
    assert found["--report_args"] == "--published conf/published.tsv "
    # Later arguments win.
    found = options("--score_args", "--metrics bleu", "--report_args", "--seed 2")
    assert found["--score_args"] == "--metrics bleu,chrf,ter --metrics bleu"
    assert found["--report_args"] == "--published conf/published.tsv --seed 2"


@pytest.mark.parametrize(
    "targets, shown", [("", True), ("en", True), ("de,en", True), ("de", False)]
)
def test_published_figures_are_of_english(options, targets, shown):
    found = options("--scenario", "m2m", "--tgt_langs", targets)
    assert ("conf/published.tsv" in found["--report_args"]) is shown


def test_published_figures(read):
    from espnet_samu.report.results import read_published
    from espnet_samu.scoring.directions import Direction

    systems = read_published(RECIPE / "conf" / "published.tsv")
    names = [system.name for system in systems]
    assert names == ["Whisper large-v3", "SeamlessM4T v2"]
    sources = ("de", "es", "fr", "it", "pt")
    directions = [Direction(s, s, "en") for s in sources]
    scores = [[system.find(d) for d in directions] for system in systems]
    assert scores == [[24.9, 30.2, 30.4, 29.2, 32.2], [31.4, 36.1, 38.2, 34.4, 37.7]]
    # The README has the same.
    readme = (RECIPE / "README.md").read_text("utf-8")
    for name, row in zip(names, scores):
        assert f"| {name} | {' | '.join(map(str, row))} |" in readme


def test_help(recipe):
    status, output = call(["./run.sh", "--stage", "1", "--help"], recipe)
    assert status == 0
    own = (RECIPE / "run.sh").read_text().partition("\nteacher=")[0].split("\n")
    names = [line.partition("=")[0] for line in own if "=" in line and line[0] != " "]
    assert len(names) == 12
    for name in names:
        assert f"\n    --{name} " in output
    assert "./samu_st.sh --help" in output


def test_blanks_in_the_path_of_the_corpus(recipe):
    status, output = call(["./run.sh", "--europarl_st", "/my corpus"], recipe)
    assert status == 2
    assert "--europarl_st '/my corpus': st.sh cannot take a name with blanks" in output


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("--scenario en2x", "Error: --scenario must be x2en, m2m or zeroshot: 'en2x'"),
        ("--with_noisy yes", "Error: --with_noisy must be true or false: 'yes'"),
        ("--st_config conf/x.yaml", "Error: --st_config conf/x.yaml: no such file"),
        ("--scenario", "value of --scenario is missing"),
    ],
)
def test_one_error_for_a_mistake(recipe, arguments, message):
    status, output = call(["./run.sh", "--stage", "10", *arguments.split()], recipe)
    assert status != 0
    assert message in output
    assert output.count("\n") == 1


@pytest.fixture
def st_sh(recipe):
    """Put a stand-in for st.sh into the recipe that is stopped, or prints its options.

    samu_st.sh reads the names of st.sh's options in it.
    """
    lines = (ROOT / "egs2" / "TEMPLATE" / "st1" / "st.sh").resolve().read_text()
    first, rest = lines.split("\n", 1)
    (recipe / "st.sh").unlink()
    stop = 'if [ -n "${STOP:-}" ]; then kill -KILL "${PPID}"; fi'
    say = "printf '%s\\n' \"$@\"; exit 0"
    (recipe / "st.sh").write_text(f"{first}\n{stop}\n{say}\n{rest}")
    (recipe / "st.sh").chmod(0o755)


def test_a_stopped_stage_3_is_not_trusted(recipe, st_sh, monkeypatch):
    run = ["./run.sh", "--ngpu", "0"]
    monkeypatch.setenv("STOP", "1")
    assert call([*run, "--stage", "3", "--stop_stage", "4"], recipe)[0] != 0
    monkeypatch.delenv("STOP")
    for stage in ("4", "10"):
        status, output = call([*run, "--stage", stage, "--stop_stage", stage], recipe)
        assert status == 1
        message = "Error: stage 3 or 4 was stopped while it wrote dump/raw/dev.x2en"
        assert message in output
        assert "run it again, from --stage 3" in output
    # Another scenario has the distillation's sets in common with this one.
    other = ["--stage", "10", "--stop_stage", "10", "--scenario", "m2m"]
    assert "wrote dump/raw/samu_dev:" in call([*run, *other], recipe)[1]

    def make_sets(*names):
        for name in names:
            (recipe / "dump" / "raw" / name).mkdir(exist_ok=True)
            (recipe / "dump" / "raw" / name / "wav.scp").touch()

    make_sets("train.m2m", "dev.m2m", "train.x2en", "dev.x2en")
    assert call([*run, *other, "--samu_model", "student.pth"], recipe)[0] == 0
    assert call([*run, "--stage", "3", "--stop_stage", "4"], recipe)[0] == 0
    make_sets("train.x2en", "dev.x2en")  # the stand-in makes none
    assert call([*run, "--stage", "10", "--stop_stage", "10"], recipe)[0] == 0


def test_the_data_say_the_target_language(recipe, st_sh):
    # One language, too: the configuration may have the token of another.
    for name in ("train.m2m_tgt_de", "dev.m2m_tgt_de"):
        path = recipe / "dump" / "raw" / name / "utt2tgt_lang"
        path.parent.mkdir(parents=True)
        path.write_text("utt de\n")
    command = "./run.sh --scenario m2m --tgt_langs de --stage 11 --stop_stage 11"
    status, output = call([*command.split(), "--ngpu", "0"], recipe)
    assert status == 0, output
    for dset in ("train", "valid"):
        name = f"{dset.replace('valid', 'dev')}.m2m_tgt_de"
        assert (
            f"--{dset}_data_path_and_name_and_type "
            f"dump/raw/{name}/utt2tgt_lang,tgt_lang,text "
        ) in output
