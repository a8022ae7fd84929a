"""Tests of espnet_samu.bin.check_products: a recipe's products and what changes."""

import json
import shutil
from pathlib import Path

import pytest

from espnet_samu.bin import check_products, provenance
from espnet_samu.teacher import cache
from espnet_samu.utils.kaldi_io import write_text
from espnet_samu.utils.provenance import RECORD

SETS = ("train", "dev", "test")
OPTIONS = {
    "data_feats": "dump/raw",
    "expdir": "exp",
    "train_set": "train",
    "valid_set": "dev",
    "test_sets": "test",
    "samu_train_set": "train",
    "samu_valid_set": "dev",
    "retrieval_sets": "test",
    "label_text": "text.tc.multi",
    "transcripts": "text.tc.multi",
    "translations": "text.tc.en",
    "teacher": "teacher",
    "teacher_dir": "exp/teacher_x",
    "own_student": "true",
    "samu_model": "exp/samu/valid.r1.best.pth",
    "samu_exp": "exp/samu",
    "samu_stats_dir": "exp/samu_stats",
    "samu_config": "conf/samu.yaml",
    "token_list": "data/tokens/tokens.txt",
    "bpemodel": "data/tokens/bpe.model",
    "token_texts": "dump/raw/train/text.tc.en",
    "st_exp": "exp/st",
    "st_stats_dir": "exp/st_stats",
    "st_config": "conf/st.yaml",
    "inference_tag": "decode",
    "inference_config": "conf/decode.yaml",
    "inference_st_model": "valid.acc.best.pth",
    "retrieval_dir": "exp/samu/retrieval",
    "durations": "0.1 20",
    "command": "./run.sh",
}


def call(action, what, **options):
    """Call the command with the options of the recipe."""
    given = [f"--{k}={v}" for k, v in {**OPTIONS, **options}.items()]
    return check_products.main([action, str(what), *given])


def write(path, content):
    """Write a file in folders that are not there yet."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(content)


def format_sets():
    """Do what stages 3 and 4 do."""
    for name in SETS:
        shutil.rmtree(f"dump/raw/{name}", ignore_errors=True)
    call("begin", "sets")
    for name in SETS:
        shutil.copytree(f"data/{name}", f"dump/raw/{name}", dirs_exist_ok=True)
    call("record", "sets")


def embed(teacher="teacher"):
    """Do what stage 6 does."""
    for name in SETS:
        folder = f"exp/teacher_x/{name}"
        Path(folder).mkdir(parents=True, exist_ok=True)
        key = cache.teacher_key([teacher], [None], "concat", True, "float32")
        text = f"dump/raw/{name}/text.tc.multi"
        cache.write_cache(folder, {**key, **cache.text_key(text), "dimension": 2})
        write(f"{folder}/embed.scp", "u1 x\n")


def train(name, content):
    """Do what stages 8 and 11 do."""
    call("begin", name)
    folder, best = {
        "student": ("exp/samu", "valid.r1.best.pth"),
        "model": ("exp/st", "valid.acc.best.pth"),
    }[name]
    write(f"{folder}/checkpoint.pth", content)
    write(f"{folder}/{best}", content)
    write(f"{folder}/config.yaml", "seed: 1\n")
    call("record", name)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A recipe's folder, all stages done."""
    folder = tmp_path_factory.mktemp("recipe")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in SETS:
            write(f"corpus/{name}.wav", f"{name} " * 999)
            write_text(Path(f"data/{name}/wav.scp"), {"u1": f"corpus/{name}.wav"})
            write_text(Path(f"data/{name}/text.tc.multi"), {"u1": f"un {name}"})
            write_text(Path(f"data/{name}/text.tc.en"), {"u1": f"one {name}"})
            write_text(Path(f"data/{name}/utt2lang"), {"u1": "fr"})
        write("teacher/model", "teacher")
        write("encoder/model", "encoder")
        write("conf/samu.yaml", "frontend_conf: {model: ./encoder}\nmax_epoch: 3\n")
        write(
            "conf/st.yaml",
            "frontend_conf: {model: ./encoder}\ninit_from_samu: true\nseed: 1\n"
            "optim_conf: {lr: 0.1}\n",
        )
        write("conf/decode.yaml", "beam_size: 5\n")
        format_sets()
        write("data/tokens/tokens.txt", "a\nb\n")
        write("data/tokens/bpe.model", "model")
        call("record", "tokens")
        embed()
        for part in ("train", "valid"):
            write(f"exp/samu_stats/{part}/speech_shape", "u1 5\n")
        call("record", "selection")
        train("student", "student")
        write("exp/samu/retrieval/test/retrieval.json", "{}")
        call("record", "retrieval")
        write("exp/st_stats/train/speech_shape", "u1 5\n")
        call("record", "stats")
        train("model", "translation")
        call("begin", "translations")
        write("exp/st/decode/test/text", "u1 one\n")
        call("record", "translations")
        write("exp/st/decode/test/score_st/results.json", "{}")
        write("exp/st/RESULTS.md", "## Scores on test: decode\n")
        call("record", "results")
    return folder


@pytest.fixture
def recipe(made, tmp_path, monkeypatch):
    """A copy of it, elsewhere."""
    shutil.copytree(made, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")


STAGES = (7, 8, 9, 10, 11, 12, 13, 14)


def test_nothing_has_changed(recipe, caplog):
    for stage in STAGES:
        call("check", stage)
    for what in ("selection", "stats"):
        assert call("stale", what) == 0
    for what in ("student", "model"):
        call("begin", what)
    assert caplog.text == ""


def test_no_false_alarms(recipe):
    """What a copy, a comment or a longer training changes is no difference."""
    for path in Path().rglob("*"):
        if path.is_file():
            path.touch()
    write(
        "conf/st.yaml",
        "# a comment\nseed: 1\noptim_conf: {lr: 1e-1}\nngpu: 4\nnum_workers: 8\n"
        "log_interval: 3\n"
        "init_from_samu: true\nmax_epoch: 99\nfrontend_conf:\n    model: ./encoder\n",
    )
    shutil.move("teacher", "teacher2")
    for stage in STAGES:
        call("check", stage, teacher="teacher2", inference_args="--batch_size 3")
    for folder in ("corpus", "encoder", "data", "teacher2"):
        shutil.rmtree(folder)  # to save room
        for stage in STAGES:
            # Without data/, what was trained on has to be said.
            call("check", stage, teacher="teacher2", train_langs="fr")
    with pytest.raises(ValueError, match="data/train/utt2lang is missing: run stage 1"):
        call("check", 13, teacher="teacher2")
    call("begin", "model")


def swap(old, new):
    """Return a function that replaces a file's content."""
    return lambda: write(old, new)


def older_clip():
    import os

    write("corpus/train.wav", "another " * 999)
    os.utime("corpus/train.wav", ns=(1, 1))


def other_corpus(file, content):
    """Return a function that changes a file of data/ and runs stages 3 and 4 again."""

    def change():
        write(file, content) if content else Path(file).unlink()
        format_sets()

    return change


def other_teacher():
    write("teacher/model", "another")
    embed()


DATA = "make it of data/{0} again: stages 3 and 4"
CHANGES = {
    "audio in place": (
        swap("corpus/train.wav", "no " * 999),
        {},
        7,
        "audio .*train.wav",
    ),
    "older audio": (older_clip, {}, 7, DATA.format("train")),
    "text": (swap("data/train/text.tc.multi", "u1 deux\n"), {}, 7, "text.tc.multi"),
    "no transcripts": (Path("data/train/text.tc.multi").unlink, {}, 7, "is gone"),
    "references": (swap("data/test/text.tc.en", "u1 1\n"), {}, 7, "text.tc.en"),
    "language": (swap("data/test/utt2lang", "u1 de\n"), {}, 7, "utt2lang"),
    "new text": (
        other_corpus("data/train/text.tc.multi", "u1 deux\n"),
        {},
        7,
        "run stage 6 again",
    ),
    "new test text": (
        other_corpus("data/test/text.tc.multi", "u1 deux\n"),
        {},
        7,
        "exp/teacher_x/test was made .*stage 6",
    ),
    "new translations": (
        other_corpus("data/train/text.tc.en", "u1 two\n"),
        {},
        10,
        "data/tokens was made .*stage 5",
    ),
    "new references": (
        other_corpus("data/test/text.tc.en", "u1 two\n"),
        {},
        13,
        "run stage 9 again",
    ),
    "new languages": (
        other_corpus("data/test/utt2lang", "u1 de\n"),
        {},
        13,
        "run stage 9 again",
    ),
    "teacher in place": (swap("teacher/model", "another"), {}, 7, "teacher is another"),
    "new teacher": (other_teacher, {}, 9, "exp/samu was made .*another --samu_tag"),
    "new student": (swap("exp/samu/valid.r1.best.pth", "x"), {}, 12, "student"),
    "encoder": (swap("encoder/model", "x"), {}, 9, "frontend_conf.model"),
    "token list": (swap("data/tokens/tokens.txt", "a\nc\n"), {}, 12, "token list"),
    "bpe model": (swap("data/tokens/bpe.model", "x"), {}, 12, "another --st_tag"),
    "new model": (
        swap("exp/st/valid.acc.best.pth", "x"),
        {},
        13,
        "decode exp/st again",
    ),
    "new output": (swap("exp/st/decode/test/text", "u1 x\n"), {}, 14, "stage 13 again"),
    "training set": (lambda: None, {"train_set": "dev"}, 12, "training set"),
    "distillation set": (lambda: None, {"samu_train_set": "dev"}, 9, "training set"),
    "option": (lambda: None, {"st_args": "--seed 2"}, 12, "seed 1 -> 2"),
    "option of the student": (
        lambda: None,
        {"samu_args": "--seed 2"},
        9,
        "seed not set",
    ),
    "configuration": (
        swap("conf/st.yaml", "init_from_samu: true\nseed: 1\noptim_conf: {lr: 0.2}\n"),
        {},
        12,
        "lr 0.1 -> 0.2",
    ),
    "beam": (swap("conf/decode.yaml", "beam_size: 6\n"), {}, 13, "beam_size 5 -> 6"),
    "durations": (lambda: None, {"durations": "0.1 9"}, 7, "0.1 20 -> 0.1 9"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_has_changed_is_refused_by_each_later_stage(recipe, change):
    apply, options, first, message = CHANGES[change]
    apply()
    for stage in STAGES:
        if stage < first:
            call("check", stage, **options)
            continue
        with pytest.raises(ValueError, match="was made from something else: "):
            call("check", stage, **options)
    with pytest.raises(ValueError, match=message):
        call("check", first, **options)


@pytest.mark.parametrize(
    "change, what",
    [
        ("new student", "model"),
        ("token list", "model"),
        ("training set", "model"),
        ("encoder", "model"),
        ("new translations", "model"),
        ("encoder", "student"),
        ("distillation set", "student"),
        ("new teacher", "student"),
        ("new text", "student"),
    ],
)
def test_a_training_does_not_go_on_from_something_else(recipe, change, what):
    apply, options, _, _ = CHANGES[change]
    apply()
    folder = {"student": "exp/samu", "model": "exp/st"}[what]
    before = Path(folder, RECORD).read_text()
    with pytest.raises(ValueError, match=f"{folder} was trained from something else"):
        call("begin", what, **options)
    assert Path(folder, RECORD).read_text() == before


def test_a_training_may_go_on_with_other_options(recipe):
    """Which, the training itself checks."""
    call("begin", "model", st_args="--seed 2")
    call("record", "model", st_args="--seed 2")
    call("check", 12, st_args="--seed 2")


def test_cheap_products_are_made_again(recipe, capsys):
    CHANGES["new text"][0]()
    assert call("stale", "selection") == check_products.STALE
    line = "exp/samu_stats/train is made again: train: text.tc.multi ("
    assert capsys.readouterr().out.startswith(line)
    call("record", "selection")
    assert call("stale", "selection") == 0
    CHANGES["new translations"][0]()
    assert call("stale", "stats") == check_products.STALE


def test_translations_that_failed_are_not_scored(recipe):
    call("begin", "translations")
    for stage in (13, 14):
        with pytest.raises(
            ValueError, match="it was not finished; decode exp/st again"
        ):
            call("check", stage)
    call("check", 12)


def test_pages_of_another_decoding_are_not_packed(recipe):
    write("exp/st/RESULTS.md", "## Scores on test: decode_beam9\n")
    with pytest.raises(ValueError, match="has no scores of decode: run stage 13"):
        call("check", 14)
    call("check", 13)


def test_a_corpus_that_changes_between_stages_3_and_4(recipe):
    call("begin", "sets")
    for stage in (7, 10):
        with pytest.raises(
            ValueError, match="dump/raw/train was .*it was not finished"
        ):
            call("check", stage)
    write("data/train/text.tc.en", "u1 two\n")
    with pytest.raises(ValueError, match="text.tc.en .* is another one; make it of"):
        call("record", "sets")


def test_a_folder_that_a_user_names_has_its_own_options(recipe):
    """Decoding with --st_exp alone; what it was made from must be as it was then."""
    given = {"st_config": "conf/samu.yaml", "train_set": "dev", "named": "model"}
    call("check", 12, **given)
    write("data/tokens/bpe.model", "x")
    with pytest.raises(ValueError, match=r"exp/st was .*: bpe model \(data/tokens"):
        call("check", 12, **given)


def test_baselines_are_of_the_same_test(recipe):
    shutil.copytree("exp/st", "exp/base")
    for stage in (12, 13):
        call("check", stage, baseline_exp="exp/base")
    record = json.loads(Path("exp/base/decode/test", RECORD).read_text())
    for part, key, value in (
        ("options", "beam_size", "1"),
        ("inputs", "test set: audio", {"name": "x", "sum": "another", "content": "x"}),
    ):
        changed = {**record, part: {**record[part], key: value}}
        write(f"exp/base/decode/test/{RECORD}", json.dumps(changed))
        with pytest.raises(
            ValueError, match="exp/base/decode/test was made .*exp/base"
        ):
            call("check", 13, baseline_exp="exp/base")


def test_a_baseline_that_is_no_model_of_ours(recipe, caplog):
    """A cascade of published models: translations, and nothing else."""
    write("exp/cascade/decode/test/text", "u1 one\n")
    call("check", 13, baseline_exp="exp/cascade")
    assert "exp/cascade/decode/test has no made_from.json" in caplog.text
    write("exp/st/decode/test/score_st/table.md", "")
    call("record", "results", baseline_exp="exp/cascade")


def test_experiments_of_an_earlier_version_are_taken_with_a_warning(recipe, caplog):
    for record in Path("exp").rglob(RECORD):
        record.unlink()
    for what in ("begin", "record"):
        call(what, "model")
    for stage in STAGES:
        call("check", stage)
    assert "exp/st has no made_from.json" in caplog.text
    assert not Path("exp/st", RECORD).exists()


def test_a_model_made_elsewhere_is_taken_without_a_warning(recipe, tmp_path, caplog):
    """As the recipe of FLEURS links one."""
    elsewhere = tmp_path / "elsewhere"
    shutil.move("exp/st", elsewhere)
    for file in elsewhere.glob("*"):
        if file.is_file() and file.name != RECORD:
            Path("exp/st").mkdir(exist_ok=True)
            Path("exp/st", file.name).symlink_to(file)
    call("check", 12, named="model")
    assert caplog.text == ""


def test_a_model_without_a_student_does_not_rest_on_one(recipe):
    write("conf/st.yaml", "seed: 1\n")
    other_teacher()
    shutil.rmtree("exp/st")
    train("model", "x")
    call("check", 12)


def test_tree_of_a_table(recipe, capsys, monkeypatch):
    provenance.main(["exp/st"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "exp/st/decode"
    assert lines[1] == "  command: ./run.sh"
    found = [line.strip() for line in lines if not line.strip().startswith("<-")]
    for folder in (
        "exp/st/decode/test",
        "exp/st",
        "exp/samu",
        "exp/teacher_x/train",
        "dump/raw/train",
        "data/tokens",
    ):
        assert found.count(folder) == 1, folder
    assert "beam_size: 5" in found and "optim_conf.lr: 0.1" in found
    provenance.main(["exp/st/decode/test/score_st/results.json"])
    assert capsys.readouterr().out.splitlines() == lines
    with pytest.raises(
        ValueError, match="corpus: neither it nor a folder above it has"
    ):
        provenance.main(["corpus"])
    # From within.
    monkeypatch.chdir("exp/st/decode/test/score_st")
    provenance.main(["."])
    assert len(capsys.readouterr().out.splitlines()) == len(lines)


def test_tree_of_two_tables(recipe, capsys):
    """What both came from is described once."""
    shutil.copytree("exp/st/decode", "exp/st/greedy")
    provenance.main(["exp/st"])
    found = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert found.count("exp/st/decode") == found.count("exp/st/greedy") == 1
    assert found.count("exp/samu") == 1
