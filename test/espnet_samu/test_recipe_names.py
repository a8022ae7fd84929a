"""Names of a recipe's folders; test_samu_st.py has those that its options lead to."""

import re
from pathlib import Path

import pytest

from espnet_samu.bin.recipe import check, vocabulary_arguments
from espnet_samu.recipe_names import SWITCHES, Names, OptionError, tag_of

SCRIPT = Path(__file__).parents[2] / "egs2/TEMPLATE/samu_st1/samu_st.sh"


@pytest.fixture
def defaults():
    """Options of samu_st.sh with their defaults, and sets."""
    text = SCRIPT.read_text()
    text = text[text.index("# General configuration") : text.index("# What --help")]
    options = dict(re.findall(r"^([a-z_]+)=(\S*)", text, re.MULTILINE))
    sets = {"train_set": "train", "valid_set": "dev", "test_sets": "test"}
    commands = {"train_cmd": "run.pl", "cuda_cmd": "run.pl", "decode_cmd": "run.pl"}
    return {**options, **sets, **commands, "command": "./run.sh"}


@pytest.fixture
def names(defaults, tmp_path):
    """Function that returns the names for some options."""
    st_sh = tmp_path / "st.sh"
    st_sh.write_text("max_wav_duration=20 # s\ntgt_nbpe=30\ntgt_bpemode=unigram\n")

    def names(st_options=(), **options):
        return Names({**defaults, **options}, dict(st_options), st_sh)

    return names


def test_switches_are_those_of_the_script(defaults):
    is_switch = {name for name, value in defaults.items() if value in ("true", "false")}
    assert is_switch == {*SWITCHES}


def test_a_switch_is_true_or_false(names):
    with pytest.raises(OptionError, match="--use_src_lang must be true or false: 'ye"):
        names(use_src_lang="yes")


def test_what_is_no_number(names):
    for name in ("stage", "stop_stage", "ngpu", "num_splits_st"):
        with pytest.raises(OptionError, match=f"--{name} must be a number: 'two'"):
            names(**{name: "two"})


def test_options_as_part_of_a_name():
    assert (
        tag_of("--max_epoch 5 --init_param a/b.pth") == "_max_epoch5_init_parama-b.pth"
    )


@pytest.mark.parametrize(
    "cuda_cmd, job",
    [
        ("run.pl", "exp/samu_train_samu_raw/train.log"),
        ("queue-freegpu.pl --mem 4G", "samu_train_samu_raw"),
        ("slurm.pl", "exp/samu_train_samu_raw/train.log"),
    ],
)
def test_a_job_of_sge_has_no_slash_in_its_name(names, cuda_cmd, job):
    assert names(cuda_cmd=cuda_cmd).student_job == job


def test_token_list_and_statistics_are_where_st_sh_puts_them(names):
    bpe = names()
    assert bpe.token_list == "data/multi_en_token_list/tgt_bpe_unigram30/tokens.txt"
    assert bpe.st_stats_dir == "exp/st_stats_raw_multi_en_bpe30"
    char = names(tgt_token_type="char", speed_perturb_factors="0.9")
    assert char.token_list == "data/multi_en_token_list/char/tgt_tokens.txt"
    assert char.st_stats_dir == "exp/st_stats_raw_multi_en_char_sp"
    whole = names(
        tgt_token_type="hugging_face",
        hugging_face_model_name_or_path="a/b",
        trim_vocab="false",
    )
    assert whole.token_list.endswith("_token_list/hugging_face_a-b/tokens.txt")
    assert whole.st_stats_dir == "exp/st_stats_raw_multi_en_hugging_face_a-b"
    assert names({"st_stats_dir": "s"}).st_stats_dir == "s"
    only_tests = names(test_only="true", train_langs="fr")
    assert only_tests.token_list == ""
    assert only_tests.st_option("max_wav_duration") == "1000000"


def test_which_calls_embed(names):
    assert names().makes_embeddings
    assert names(test_only="true", samu_model="a.pth").makes_embeddings
    assert not names(samu_model="a.pth").makes_embeddings
    assert not names(test_only="true").makes_embeddings
    assert not names(skip_train="true").makes_embeddings


@pytest.mark.parametrize("blank", " \t")
def test_target_languages_of_stage_5(names, tmp_path, monkeypatch, blank):
    """Kaldi's files may have tabs behind the id."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "train").mkdir(parents=True)
    table = tmp_path / "data" / "train" / "utt2tgt_lang"
    table.write_text(f"a{blank}de\nb{blank}fr\n")
    mbart = {"hugging_face_model_name_or_path": "mbart"}
    arguments = vocabulary_arguments(names(tgt_token_type="hugging_face", **mbart))
    assert arguments[2:6] == ["--tgt_lang", "de", "--tgt_lang", "fr"]


def test_warnings_of_several_commands_are_one(names, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    check(names(train_cmd="slurm.pl", cuda_cmd="slurm.pl", decode_cmd="run.pl"))
    assert len(capsys.readouterr().err.splitlines()) == 1
