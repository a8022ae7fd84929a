"""samu_st.sh, with a stand-in for st.sh: names of folders, and what it refuses."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ST_SH = (ROOT / "egs2" / "TEMPLATE" / "st1" / "st.sh").resolve()
DEFAULT = "exp/samu_train_samu_raw/valid.r1.best.pth"


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


def write(path, text):
    """Write a file in folders that are not there yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def recipe(tmp_path):
    """A recipe that setup.sh made; its st.sh prints its options, one a line."""
    (tmp_path / "egs2").mkdir()
    (tmp_path / "tools").symlink_to(ROOT / "tools")
    (tmp_path / "egs2" / "TEMPLATE").symlink_to(ROOT / "egs2" / "TEMPLATE")
    recipe = tmp_path / "egs2" / "corpus" / "samu_st1"
    setup = ["bash", "egs2/TEMPLATE/samu_st1/setup.sh", "egs2/corpus/samu_st1"]
    assert call(setup, tmp_path)[0] == 0
    # samu_st.sh reads the names of st.sh's options in it.
    first, rest = ST_SH.read_text().split("\n", 1)
    (recipe / "st.sh").unlink()
    (recipe / "st.sh").write_text(f"{first}\nprintf '%s\\n' \"$@\"; exit 0\n{rest}")
    (recipe / "st.sh").chmod(0o755)
    # What stage 10 asks for.
    for name in ("train", "train_sp", "mine", "dev"):
        write(recipe / "dump" / "raw" / name / "wav.scp", "")
    return recipe


@pytest.fixture
def run(recipe):
    """Function that runs a few stages; status and output."""

    def run(*options, stage=10, stop_stage=10):
        stages = ("--stage", stage, "--stop_stage", stop_stage)
        return call(["./run.sh", "--ngpu", 0, *stages, *options], recipe)

    return run


@pytest.fixture
def names(run):
    """Function that returns folders of translation and decoding, and the student."""

    def names(*options):
        status, output = run(*options)
        assert status == 0, output
        lines = output.split("\n")
        given = {a: b for a, b in zip(lines, lines[1:]) if a.startswith("--")}
        assert given["--st_exp"].startswith("exp/st_")
        student = given["--st_args"].split()[1]
        return given["--st_exp"][7:], given["--inference_tag"], student

    return names


LORA = "conf/tuning/train_st_lora.yaml"
XLSR = "conf/tuning/train_st_xlsr.yaml"


@pytest.mark.parametrize(
    "options, folder, student",
    [
        ([], "train_st_raw_multi_en", DEFAULT),
        (
            ["--st_args", "--max_epoch 5 --optim_conf lr=0.1", "--st_config", LORA],
            "train_st_lora_raw_multi_en_max_epoch5_optim_conflr0.1",
            DEFAULT,
        ),
        (
            ["--speed_perturb_factors", "0.9 1.0"],
            "train_st_raw_multi_en_sp",
            DEFAULT,
        ),
        (
            ["--samu_args", "--max_epoch 5"],
            "train_st_raw_multi_en_samu_max_epoch5",
            "exp/samu_train_samu_raw_max_epoch5/valid.r1.best.pth",
        ),
        (
            ["--samu_train_set", "samu_train_cs_fr", "--samu_label", "translation"],
            "train_st_raw_multi_en_samu_translation_cs_fr",
            "exp/samu_train_samu_raw_translation_cs_fr/valid.r1.best.pth",
        ),
        (
            ["--samu_config", "conf/tuning/mine.yaml"],
            "train_st_raw_multi_en_samu_mine_raw",
            "exp/samu_mine_raw/valid.r1.best.pth",
        ),
        (
            ["--samu_label", "translation", "--tgt_lang", "de", "--tgt_case", "lc"]
            + ["--src_case", "lc", "--samu_train_set", "radio"],
            "train_st_raw_multi_de_samu_translation_de_radio_lc_lc",
            "exp/samu_train_samu_raw_translation_de_radio_lc/valid.r1.best.pth",
        ),
        (
            ["--hugging_face_model_name_or_path", "facebook/nllb-200-distilled-600M"]
            + ["--train_set", "mine", "--samu_train_set", "samu_train"],
            "train_st_raw_multi_en_mine_facebook-nllb-200-distilled-600M",
            DEFAULT,
        ),
        (
            ["--tgt_token_type", "char", "--st_args", "--init_param a/b.pth"],
            "train_st_raw_multi_en_char_init_parama-b.pth",
            DEFAULT,
        ),
        (["--samu_model", DEFAULT], "train_st_raw_multi_en", DEFAULT),
        (
            ["--samu_model", "a/x.pth"],
            "train_st_raw_multi_en_samu_modela-x.pth",
            "a/x.pth",
        ),
        (
            ["--samu_exp", "exp/mine"],
            "train_st_raw_multi_en_samu_modelexp-mine-valid.r1.best.pth",
            "exp/mine/valid.r1.best.pth",
        ),
        # The baseline starts from no student.
        (
            ["--samu_model", "a/x.pth", "--st_config", XLSR],
            "train_st_xlsr_raw_multi_en",
            "a/x.pth",
        ),
        # What the folder of all experiments tells apart.
        (["--train_args", "--seed 2"], "train_st_raw_multi_en", DEFAULT),
        (["--st_args", "--max_epoch 5", "--st_tag", "mine"], "mine", DEFAULT),
    ],
)
def test_two_settings_have_two_folders(names, options, folder, student):
    assert names(*options) == (folder, "decode_st_valid.acc.best", student)


def test_two_decodings_have_two_folders(names):
    options = ["--inference_args", "--backend beam_search --maxlenratio -30"]
    decoding = "decode_st_backendbeam_search_maxlenratio-30_valid.acc.best"
    assert names(*options)[1] == decoding
    assert names("--inference_tag", "mine")[1] == "mine"


def test_trimmed_vocabulary_is_st_shs_whatever_size_is_asked_for(run):
    # As a recipe's run.sh has it, which a user's options follow.
    options = ["--tgt_token_type", "bpe", "--tgt_nbpe", "140", "--tgt_bpemode", "bpe"]
    options += ["--tgt_token_type", "hugging_face"]
    options += ["--hugging_face_model_name_or_path", "a/mbart"]
    status, output = run(*options)
    assert status == 0, output
    lines = output.split("\n")
    given = {a: b for a, b in zip(lines, lines[1:]) if a.startswith("--")}
    assert given["--tgt_token_type"] == "bpe"
    folder = f"data/multi_en_token_list/tgt_bpe_{given['--tgt_bpemode']}"
    folder += given["--tgt_nbpe"]
    assert folder == "data/multi_en_token_list/tgt_bpe_trimmed_a_mbart"
    assert f"--decoder_conf model={folder}" in given["--st_args"]


def test_arguments_of_both_trainings_come_first(run):
    status, output = run("--train_args", "--seed 2", "--st_args", "--max_epoch 5")
    assert status == 0
    assert f"--samu_model {DEFAULT} " in output
    assert "--seed 2 --max_epoch 5\n" in output


def test_longest_utterance_goes_to_both_trainings(run, recipe):
    status, output = run("--max_wav_duration", "8")
    assert status == 0 and f"--samu_model {DEFAULT} " in output
    assert " --max_wav_duration 8 " in output
    (recipe / "python").write_text(PYTHON)
    (recipe / "python").chmod(0o755)
    options = ["--python", "./python", "--max_wav_duration", "8"]
    status, output = run(*options, stage=8, stop_stage=8)
    assert status == 0, output
    distillation = output.split("\nespnet_samu.bin.samu_train\n")[1].split("\n-m\n")[0]
    assert "\n--max_wav_duration\n8\n" in distillation


@pytest.mark.parametrize(
    "options, refused",
    [
        ([], True),
        (["--st_args", "--balance_languages true --balance_languages false"], False),
        (["--stop_stage", "10"], False),
        (["--skip_train", "true"], False),
    ],
)
def test_balanced_languages_are_not_read_in_parts(run, options, refused):
    options = ["--num_splits_st", "4", "--skip_eval", "true", *options]
    status, output = run(*options, stage=11, stop_stage=11)
    if refused:
        assert status == 2
        assert "--num_splits_st 4 reads parts of the training set" in output
        assert 'pass --num_splits_st 1, or --st_args "--balance_languages false"' in (
            output
        )
    else:
        assert status == 0, output


def test_a_language_model_is_not_trained_here(run):
    status, output = run("--use_lm", "true", stage=12, stop_stage=12)
    assert status == 2
    assert "Error: --use_lm true has no effect: no language model is trained" in output
    status, output = run("--use-lm", "true", "--lm_exp", "exp/lm")
    assert status == 0 and "exp/lm" in output.split("\n")


@pytest.mark.timeout(30)
def test_gpus_must_be_there(run, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    status, output = run("--ngpu", 2, stage=1, stop_stage=8)
    assert status == 2
    assert "Error: --ngpu 2: torch finds 0 GPUs on this machine" in output
    assert "--ngpu 0 trains on the CPU" in output and "Stage" not in output
    # stages that use none
    assert run("--ngpu", 2)[0] == 0


def test_labels_of_sets_without_translations(run, recipe):
    sets = ["--samu_train_set", "samu_train", "--samu_valid_set", "samu_dev"]
    label = [*sets, "--samu_label", "translation"]
    for name in ("train", "dev", "test", "samu_train", "samu_dev"):
        write(recipe / "data" / name / "text.tc.multi", "utt eins\n")
        write(recipe / "data" / name / "wav.scp", "utt eins.wav\n")
    message = "--samu_label translation: samu_train has no translations"
    for stage in (1, 4):
        status, output = run(*label, stage=stage, stop_stage=5)
        assert status == 2
        assert message in output
        assert "--samu_train_set train --samu_valid_set dev, or let stage 1" in output
    # Not where no student is made.
    for options in (sets, [*label, "--samu_model", "a.pth"]):
        assert run(*options, stage=1, stop_stage=2)[0] == 0
    assert run(*label)[0] == 0


def test_translations_of_the_distillation_are_carried_over(run, recipe):
    for name in ("samu_train", "samu_dev"):
        for lang, words in (("multi", "eins"), ("en", "one")):
            text = f"utt1 {words}\nutt2 {words}\n"
            write(recipe / "data" / name / f"text.tc.{lang}", text)
        write(recipe / "dump" / "raw" / name / "wav.scp", "utt2 b.flac\n")
    sets = ["--samu_train_set", "samu_train", "--samu_valid_set", "samu_dev"]
    options = [*sets, "--samu_label", "translation"]
    status, output = run(*options, stage=4, stop_stage=4)
    assert status == 0, output
    text = recipe / "dump" / "raw" / "samu_train" / "text.tc.en"
    assert text.read_text() == "utt2 one\n"


def test_a_small_teacher_is_trained_on_what_stage_1_may_make(run, recipe):
    for name in ("train", "dev", "test"):
        write(recipe / "data" / name / "wav.scp", "utt eins.wav\n")
    options = ["--teacher", "", "--teacher_bitext", "data/bitext.tsv"]
    message = "Error: --teacher is empty: --teacher_bitext must be a file"
    status, output = run(*options, stage=1, stop_stage=6)
    assert status == 2
    assert message in output and "--stage\n1\n" in output
    status, output = run(*options, stage=2, stop_stage=6)
    assert status == 2
    assert message in output and "--stage\n2\n" not in output
    write(recipe / "data/bitext.tsv", "lang\ttext\tenglish\n")
    assert run(*options, stage=1, stop_stage=1)[0] == 0
    assert run(*options, stage=2, stop_stage=2)[0] == 0


# espnet_samu.bin.recipe itself, which prints what it would run programs with.
RECIPE = """
case "$2 $3" in
    "espnet_samu.bin.recipe selection" | "espnet_samu.bin.recipe retrieval")
        exec python3 -c "
import sys
from espnet_samu.bin import recipe, samu_select, score_retrieval
samu_select.main = score_retrieval.main = lambda cmd: print(*cmd, sep='\\n')
recipe.main(sys.argv[1:])" "${@:3}" ;;
    "espnet_samu.bin.recipe "*) exec python3 "$@" ;;
esac
"""
PYTHON = f"""#!/usr/bin/env bash
# Prints the arguments, but for the names of folders.
{RECIPE}
printf '%s\\n' "$@"
"""


def test_scoring_is_one_command(run, recipe):
    (recipe / "python").write_text(PYTHON)
    (recipe / "python").chmod(0o755)
    write(recipe / "data/train/utt2lang", "utt1 fr\n")
    write(recipe / "exp/st_mine/decode_st_valid.acc.best/test/text", "utt1 one\n")
    options = [
        "--st_exp",
        "exp/st_mine",
        "--baseline_config",
        XLSR,
        "--python",
        "./python",
    ]
    options += ["--samu_model", "a/x.pth", "--score_args", "--metrics bleu,ter"]
    status, output = run(*options, stage=13, stop_stage=13)
    assert status == 0, output
    lines = output.split("\n")
    start = lines.index("espnet_samu.bin.score_experiment")
    lines = lines[start : lines.index("-m", start)]
    given = dict(zip(lines, lines[1:]))
    assert given["--baseline_exp"] == "exp/st_train_st_xlsr_raw_multi_en"
    assert given["--samu_model"] == "a/x.pth"
    assert given["--retrieval_dir"] == "a/retrieval_x"
    assert given["--train_utt2lang"] == "data/train/utt2lang"
    assert given["--score_args"] == "--metrics bleu,ter"


def test_failed_utterances(run, recipe):
    """They are named, the rest goes on, and the exit status is 1 unless it may be 0."""
    (recipe / "python").write_text(PYTHON)
    (recipe / "python").chmod(0o755)
    options = ["--python", "./python", "--st_exp", "exp/st", "--inference_tag", "d"]
    write(recipe / "dump/raw/test/wav.scp", "utt1 a\nutt2 b\nutt3 c\n")
    write(recipe / "data/train/utt2lang", "utt1 fr\n")
    for file in ("config.yaml", "valid.acc.best.pth"):
        write(recipe / "exp/st" / file, "")
        write(recipe / "exp/samu_train_samu_raw" / file, "")
    write(recipe / DEFAULT, "")
    write(recipe / "dump/raw/test/text.tc.multi", "utt1 un\nutt2 deux\nutt3 trois\n")
    for teacher in ("teacher_small", "teacher_sentence-transformers-LaBSE"):
        write(recipe / f"exp/{teacher}/test/embed.scp", "utt1 x\nutt2 x\nutt3 x\n")
    decoded = recipe / "exp/st/d/test"
    write(decoded / "text", "utt1 one\nutt3 three\n")
    # one that an earlier decoding, of more jobs, had failed on
    write(decoded / "logdir/output.2/failed.scp", "utt2 too short\n")
    write(decoded / "logdir/output.9/failed.scp", "utt1 out of memory\n")
    for stage in (12, 13):
        status, output = run(*options, stage=stage, stop_stage=13)
        assert status == 1
        assert (
            output.count("Warning: 1 of 3 utterances of test failed, see") == 14 - stage
        )
        assert output.count("Error: 1 of 3 utterances of test failed: exp/st/d/te") == 1
        assert "--allow_missing true" in output
    assert "\n--allow_missing true \n" in run(*options, stage=12, stop_stage=12)[1]
    assert (decoded / "failed.scp").read_text() == "utt2 too short\n"
    status, output = run(*options, "--allow_missing", "true", stage=12, stop_stage=13)
    assert status == 0, output

    test = recipe / "exp/samu_train_samu_raw/retrieval_valid.r1.best/test"
    write(test / "embed.scp", "utt1 x\nutt3 x\n")
    write(test / "failed.scp", "utt2 too short\n")
    write(test / "retrieval.json", "{}")
    status, output = run(*options, stage=9, stop_stage=9)
    assert status == 1
    assert "Error: 1 of 3 utterances of test failed: exp/samu_train_samu_raw/" in output
    for folder, name, stage in ((test, "embed.scp", 9), (decoded, "text", 12)):
        write(folder / name, "")
        status, output = run(*options, stage=stage, stop_stage=stage)
        assert status == 1
        assert "Error: no utterance of test has a result in " in output
    # Everything is mended.
    write(decoded / "text", "utt1 one\nutt2 two\nutt3 three\n")
    status, output = run(*options, stage=12, stop_stage=12)
    assert status == 0, output
    assert not (decoded / "failed.scp").exists()


def test_retrieval_of_translations_into_several_languages(run, recipe):
    (recipe / "python").write_text(PYTHON)
    (recipe / "python").chmod(0o755)
    options = ["--python", "./python", "--samu_label", "translation", "--teacher", "t"]
    test = recipe / "dump/raw/test"
    write(test / "wav.scp", "utt1 a\nutt2 b\n")
    write(recipe / "exp/teacher_t_translation/test/embed.scp", "utt1 x\nutt2 x\n")
    student = "exp/samu_train_samu_raw_translation"
    write(recipe / student / "valid.r1.best.pth", "")
    write(recipe / student / "retrieval_valid.r1.best/test/embed.scp", "utt1 x\n")
    for targets, shown in (("utt1 en\nutt2 en\n", 0), ("utt1 en\nutt2 fr\n", 1)):
        write(test / "utt2tgt_lang", targets)
        status, output = run(*options, stage=9, stop_stage=9)
        assert status == 0, output
        assert output.count("--target_lang\ndump/raw/test/utt2tgt_lang\n") == shown


def test_set_that_stage_1_does_not_make_is_named(run, recipe):
    write(recipe / "data" / "my_train" / "wav.scp", "a a.wav\n")
    status, output = run("--train_set", "my_train", stage=1, stop_stage=1)
    assert status == 1
    assert "Error: stage 1 has made no data/dev. --train_set, --valid_set," in output
    for dset in ("dev", "test"):
        write(recipe / "data" / dset / "wav.scp", "a a.wav\n")
    status, output = run("--train_set", "my_train", stage=1, stop_stage=1)
    assert status == 0, output


def test_a_set_that_stage_1_has_not_made_this_time_is_none(run, recipe):
    for name in ("train", "dev", "test"):
        write(recipe / "data" / name / "wav.scp", "a a.wav\n")
    # As local/data.sh says of manifests new.tsv, dev.tsv and test.tsv.
    write(recipe / "data" / ".sets", "new\ndev\ntest\n")
    status, output = run(stage=1, stop_stage=1)
    assert status == 1
    assert "Error: stage 1 has made no data/train." in output
    write(recipe / "data" / ".sets", "train\ndev\ntest\n")
    assert run(stage=1, stop_stage=1)[0] == 0


def test_what_the_corpus_has_no_more_is_not_left_in_dump(run, recipe):
    write(recipe / "a.wav", "samples")
    for name in ("train", "dev", "test"):
        write(recipe / "data" / name / "wav.scp", "a a.wav\n")
        for folder in ("dump/raw", "dump/raw/org"):
            write(recipe / folder / name / "text.tc.multi", "a old\n")
    status, output = run("--skip_eval", "true", stage=3, stop_stage=3)
    assert status == 0, output
    assert not (recipe / "dump/raw/train/text.tc.multi").exists()
    assert not [*recipe.glob("dump/raw/org/*")]
    for name in ("train", "dev", "test"):
        write(recipe / "dump/raw" / name / "wav.scp", "a a.wav\n")
        write(recipe / "dump/raw" / name / "text.tc.multi", "a old\n")
    status, output = run(stage=4, stop_stage=4)
    assert status == 0, output
    assert not (recipe / "dump/raw/train/text.tc.multi").exists()
    assert (recipe / "dump/raw/train/made_from.json").exists()
    # A finished training of other data is not gone on with.
    record = '{"finished": true, "options": {}, "inputs": {"training set: audio":'
    record += ' {"name": "dump/raw/train", "sum": "x"}}}'
    write(recipe / "exp/st_mine/made_from.json", record)
    write(recipe / "exp/st_mine/checkpoint.pth", "")
    options = ["--st_exp", "exp/st_mine", "--st_config", XLSR]
    status, output = run(*options, stage=11, stop_stage=11)
    assert status == 1
    message = "Error: exp/st_mine was trained from something else: training set: audio "
    assert f"{message}(dump/raw/train) is another one" in output.splitlines()[-1]


def test_without_espnet_or_the_plug_in(run, recipe, tmp_path):
    (tmp_path / "plain").write_text('#!/bin/sh\nexec python3 -S -I -E "$@"\n')
    (tmp_path / "plain").chmod(0o755)
    status, output = run("--python", tmp_path / "plain")
    assert status == 2
    assert f"Error: {tmp_path}/plain ({tmp_path}/plain) has no espnet_samu." in output
    (recipe / "scripts").unlink()
    (recipe / "scripts").symlink_to("../../TEMPLATE/asr1/gone")
    status, output = run()
    assert status == 2
    assert "../../TEMPLATE/asr1/gone" in output and "make -C ../../../tools" in output


def test_options_with_hyphens_are_the_same_options(names):
    given = names("--st-config", LORA, "--samu-model", "a/x.pth", "--st-tag", "mine")
    assert given == ("mine", "decode_st_valid.acc.best", "a/x.pth")


@pytest.mark.parametrize(
    "options, message",
    [
        (["--st-tag=a b"], "Error: '--st-tag=a b': pass --st_tag 'a b'"),
        (["--tgt_bpemod", "x"], "Error: invalid option --tgt_bpemod (see ./samu_st.sh"),
        (
            ["--token-joint", "true", "--trim-vocab", "true"]
            + ["--hugging-face-model-name-or-path", "mbart"],
            "Error: --token_joint true does not go with --trim_vocab true",
        ),
    ],
)
def test_options_are_never_half_read(run, options, message):
    status, output = run(*options)
    assert status == 2
    assert message in output


EARLY = {
    7: "dump/raw/train/wav.scp is missing: run stage 4 first (--stage 4)",
    8: "exp/samu_stats_raw/train/speech_shape is missing: run stage 7 first",
    9: "exp/samu_train_samu_raw/valid.r1.best.pth is missing: run stage 8 first",
    10: "dump/raw/train/wav.scp is missing: run stage 4 first",
    12: "exp/st_train_st_raw_multi_en/config.yaml is missing: run stage 11 first",
    13: "data/train/utt2lang is missing: run stage 1 first",
    14: "exp/st_train_st_raw_multi_en/config.yaml is missing: run stage 11 first",
    15: "exp/st_train_st_raw_multi_en/README.md is missing: run stage 13 first",
}


@pytest.mark.parametrize("stage", EARLY)
def test_a_stage_that_runs_too_early_names_the_one_before(run, recipe, stage):
    shutil.rmtree(recipe / "dump")
    skip = ["--skip_packing", "false", "--skip_upload_hf", "false"]
    status, output = run(*skip, stage=stage, stop_stage=stage)
    assert status == 1
    assert f"Error: {EARLY[stage]}" in output.splitlines()[-1]


# "coverage run --append" takes -m and files, and neither -c nor standard input.
COVERAGE = """#!/usr/bin/env bash
[ "$1 $2" = "run --append" ] || exit 3
shift 2
case "$1" in -m) ;; -*) echo "no such option: $1"; exit 3 ;; esac
if [ "$2" = espnet_samu.bin.teacher_embed ]; then
    echo "some lines" >&2
    echo "${LAST_LINE:-Error: /none: there is no such folder}" >&2
    echo "a line after it" >&2
    exit 1
fi
[ "$2" != espnet_samu.bin.jobs ] || exec python3 "$@"
""" + RECIPE + '[ "$2" = espnet_samu.launch ] || echo "$@"\n'


@pytest.fixture
def coverage(recipe):
    """A ``--python`` of three words."""
    (recipe / "cover").write_text(COVERAGE)
    (recipe / "cover").chmod(0o755)
    for name in ("train", "dev", "test"):
        write(recipe / "dump" / "raw" / name / "text.tc.multi", "utt eins\n")
        write(recipe / "dump" / "raw" / name / "wav.scp", "utt eins.flac\n")
    return "./cover run --append"


@pytest.mark.parametrize(
    "line, shown",
    [
        ("Error: /none: there is no such folder", None),
        ("ValueError: 3", None),
        ("torch.OutOfMemoryError: CUDA out of memory", None),
        ("embed.py: error: the following arguments are required", None),
        ("Killed", "Error: a job ended without an error message; was it killed? See "),
    ],
)
def test_a_failed_job_says_why_on_the_console(run, coverage, monkeypatch, line, shown):
    monkeypatch.setenv("LAST_LINE", line)
    status, output = run("--python", coverage, stage=6, stop_stage=6)
    assert status == 1
    last = output.splitlines()[-1]
    assert last.partition("failed) ")[2].startswith(shown or line)


def test_one_teacher_needs_one_gpu(run, recipe, coverage):
    (recipe / "cmd.sh").write_text(
        "train_cmd=run.pl\ncuda_cmd='echo queue'\ndecode_cmd=run.pl\n"
    )
    for gpus, asked in ((4, 1), (1, 1), (0, 0)):
        options = ["--python", coverage, "--ngpu", gpus]
        status, output = run(*options, stage=6, stop_stage=6)
        assert status == 0, output
        assert f"queue --gpu {asked} exp/teacher_" in output


def test_python_of_several_words(run, recipe, coverage):
    exp = recipe / "exp/st_train_st_raw_multi_en"
    teacher = recipe / "exp/teacher_sentence-transformers-LaBSE"
    write(exp / "config.yaml", "decoder: mbart\n")
    for name in ("train", "dev"):
        write(teacher / name / "embed.scp", "utt x\n")
    for name in ("train", "dev", "test"):
        write(recipe / "data" / name / "utt2lang", "utt fr\n")
    write(exp / "decode_st_valid.acc.best/test/text", "utt one\n")
    for stage in (7, 13):
        status, output = run("--python", coverage, stage=stage, stop_stage=stage)
        assert status == 0, output
    assert "-m espnet_samu.bin.score_experiment --st_exp exp/st_train" in output
    status, output = run("--python", coverage)
    assert status == 0, output
    assert "./cover run --append -m espnet_samu.launch\n" in output


def test_variables_that_jobs_do_not_get(run, recipe, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    status, output = run()
    assert status == 0 and "Warning" not in output
    text = (recipe / "cmd.sh").read_text()
    (recipe / "cmd.sh").write_text(
        text.replace("cmd_backend='local'", "cmd_backend=slurm")
    )
    status, output = run()
    assert status == 0
    assert output.count("Warning: HF_HUB_OFFLINE: set here, but not in the jobs") == 1


def test_a_failed_job_of_st_sh_says_why(run, recipe, coverage):
    text = (recipe / "st.sh").read_text()
    log = "mkdir -p exp/stats; echo 'Error: lr is a text' > exp/stats/stats.1.log"
    (recipe / "st.sh").write_text(text.replace("; exit 0", f"; {log}; exit 1", 1))
    write(recipe / "exp/older.log", "ValueError: long ago\n")
    os.utime(recipe / "exp/older.log", (1, 1))
    status, output = run()
    assert status == 1
    assert output.splitlines()[-1].endswith("failed) Error: lr is a text")


def test_a_folder_with_a_blank(run, recipe):
    folder = recipe.parent / "samu st1"
    recipe.rename(folder)
    status, output = call(["./run.sh", "--stage", 1], folder)
    assert status == 2
    assert "Error: ESPnet's scripts cannot run below a folder with a blank" in output


def test_the_model_card_is_what_stage_15_uploads(run, recipe):
    exp = recipe / "exp" / "st_mine"
    card = '# "mine"\n\nIt costs $HOME `date` \\n.\n'
    write(exp / "README.md", card)
    st_exp = ["--st_exp", "exp/st_mine", "--skip_upload_hf", "false"]
    assert run(*st_exp, stage=15, stop_stage=15)[0] == 0
    # st.sh's own line.
    line = next(x for x in ST_SH.read_text().split("\n") if "TEMPLATE_HF_README" in x)
    command = f"st_exp=exp/st_mine; dir_repo=repo; mkdir repo; {line}"
    assert call(["bash", "-c", command], recipe)[0] == 0
    assert (recipe / "repo" / "README.md").read_text() == card


def test_only_test_sets_are_prepared(run, recipe):
    """To st.sh they are training sets, too, of which no utterance is too long."""
    for name in ("test", "test2"):
        write(recipe / "data" / name / "wav.scp", f"a {name}.flac\n")
    options = [
        "--test_only",
        "true",
        "--test_sets",
        "test test2",
        "--skip_eval",
        "true",
    ]
    status, output = run(*options, stage=1, stop_stage=11)
    assert status == 0, output
    calls = output.split("--python\n")[1:]
    stages = [c.split("--stage\n")[1].split("\n")[:3:2] for c in calls]
    assert stages == [["1", "1"], ["2", "2"], ["3", "4"]]
    for option, value in (
        ("train_set", "test"),
        ("valid_set", "test"),
        ("min_wav_duration", "0"),
        ("max_wav_duration", "1000000"),
    ):
        assert f"\n--{option}\n{value}\n" in calls[2]
    # The last one counts: the first set is not formatted once more.
    assert calls[2].split("--test_sets\n")[-1].split("\n")[0].split() == ["test2"]
    assert "Stages 5-11 are skipped: nothing is trained" in output
    options[-1] = "false"
    status, output = run(*options, stage=13, stop_stage=13)
    assert status == 2
    assert "say by --train_langs what the model was trained on" in output
