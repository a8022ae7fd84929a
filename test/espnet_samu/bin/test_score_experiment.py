"""Tests of espnet_samu.bin.score_experiment."""

import base64
import json
from argparse import Namespace
from pathlib import Path

import pytest

from espnet_samu.bin.score_experiment import (
    get_parser,
    main,
    score_options,
    system_name,
    training_directions,
)
from espnet_samu.utils.kaldi_io import write_text

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YA"
    "AAAASUVORK5CYII="
)
SCORE = {"lang": "fr", "direction": "speech-text", "r1": 0.5, "signature": "k:4"}


@pytest.mark.parametrize(
    "exp, name",
    [
        ("exp/st_train_st_raw_fr_en_max_epoch5", "train_st_max_epoch5"),
        ("exp/st_train_st_raw_fr_en", "train_st"),
        ("elsewhere/mine", "mine"),
    ],
)
def test_system_name(exp, name):
    assert system_name(exp, "fr", "en") == name


@pytest.fixture
def args(tmp_path, monkeypatch) -> Namespace:
    """Options for an experiment that has decoded two utterances of ``test``."""
    monkeypatch.chdir(tmp_path)
    data = Path("dump/raw/test")
    write_text(data / "wav.scp", {"u1": "a", "u2": "b"})
    write_text(data / "utt2lang", {"u1": "fr", "u2": "de"})
    write_text(data / "text.tc.en", {"u1": "one word", "u2": "two words"})
    write_text(data / "text.tc.multi", {"u1": "un mot", "u2": "zwei"})
    write_text(Path("data/train/utt2lang"), {"t1": "fr", "t2": "fr"})
    exp = Path("exp/st_mine")
    write_text(exp / "decode/test/text", {"u1": "one word", "u2": "two"})
    frozen = "decoder: mbart\ninit_param:\n- a/x.pth:frontend:frontend\nfreeze: true\n"
    (exp / "config.yaml").write_text(frozen)
    searched = Path("a/retrieval_x/test")
    write_text(searched / "embed.scp", {"u1": "x"})
    write_text(searched / "failed.scp", {"u2": "too short"})
    (searched / "heat.png").write_bytes(PNG)
    (searched / "retrieval.json").write_text(json.dumps({"scores": [SCORE]}))
    return get_parser().parse_args(options())


def options(*more: str) -> list[str]:
    """Return the command line, with more options behind it."""
    words = (
        "--st_exp exp/st_mine --inference_tag decode --test_sets test --src_lang multi"
    )
    words += " --data_feats dump/raw --ref text.tc.en --src text.tc.multi --tgt_lang en"
    words += " --train_utt2lang data/train/utt2lang --retrieval_dir a/retrieval_x"
    words += " --retrieval_sets test --samu_model a/x.pth"
    return [*words.split(), "--command", "./run.sh --stage 13", *more]


def test_options_of_both_commands(args):
    scores, page = score_options(args, "test")
    both = (
        "--ref dump/raw/test/text.tc.en --utt2lang dump/raw/test/utt2lang --tgt_lang en"
    )
    both += (
        " --system mine=exp/st_mine/decode/test/text --src dump/raw/test/text.tc.multi"
    )
    retrieval = ["--retrieval", "mine=a/retrieval_x/test/retrieval.json"]
    assert scores == [*both.split(), *retrieval]
    name = "retrieval of test: heat"
    figure = ["--figure", f"{name}=a/retrieval_x/test/heat.png"]
    figure += ["--command", f"{name}=./run.sh --stage 13 (stage 9)"]
    assert page == [*both.split(), *figure]


@pytest.mark.parametrize("change", ["student", "utterances", "no scores"])
def test_retrieval_is_that_of_the_student_on_this_set(args, change):
    folder = Path("a/retrieval_x/test")
    if change == "student":
        args.samu_model = "b/x.pth"
        args.retrieval_dir = Path("b/retrieval_x")
    elif change == "utterances":
        write_text(folder / "embed.scp", {"u1": "x", "u3": "x"})
    else:
        (folder / "retrieval.json").unlink()
    scores, page = score_options(args, "test")
    assert "--retrieval" not in scores and "--figure" not in page


def test_curves_and_cross_attention(args):
    def shown():
        page = score_options(args, "other")[1]
        return [
            (a, b) for a, b in zip(page, page[1:]) if a[2:] in ("training", "figure")
        ]

    write_text(Path("dump/raw/other/wav.scp"), {"u9": "c"})
    args.retrieval_sets = []
    assert shown() == []
    for log in ("exp/st_mine/train.log", "a/train.log"):
        Path(log).write_text("")
    for utt in ("u1", "u2", "u3", "u4"):
        for layer, epoch in ((0, 10), (11, 9), (11, 10), (2, 10)):
            name = f"cross_attention.{layer}.{epoch}ep.png"
            write_text(Path("exp/st_mine/att_ws", utt, name), {})
        # of another decoder
        write_text(Path("exp/st_mine/att_ws", utt, "decoder.src_attn.10ep.png"), {})
    caption = "cross-attention of {}, layer 12, epoch 10, mean over its heads"
    picture = "exp/st_mine/att_ws/{}/cross_attention.11.10ep.png"
    assert shown() == [
        ("--training", "mine=exp/st_mine/train.log"),
        ("--training", "distillation of a=a/train.log"),
        *(
            ("--figure", f"{caption}={picture}".format(utt, utt))
            for utt in ("u1", "u2", "u3")
        ),
    ]


def test_another_set_shows_how_well_it_retrieves(args):
    write_text(Path("dump/raw/other/wav.scp"), {"u9": "c"})
    scores, page = score_options(args, "other")
    assert "--retrieval" not in scores
    assert "retrieval of test: heat=a/retrieval_x/test/heat.png" in page


def test_model_and_student_of_another_recipe_are_links(args):
    """As the recipe of FLEURS makes them."""
    other = Path("other/samu_st1/exp")
    config = Path("exp/st_mine/config.yaml")
    (other / "st").mkdir(parents=True)
    (other / "samu").mkdir()
    text = config.read_text().replace("a/x.pth", "exp/samu/x.pth")
    (other / "st/config.yaml").write_text(text)
    for name in ("samu/x.pth", "samu/y.pth"):
        (other / name).write_text("weights")
    config.unlink()
    config.symlink_to((other / "st/config.yaml").resolve())
    for name, there in (("samu/x.pth", True), ("samu/y.pth", False)):
        Path("a/x.pth").unlink(missing_ok=True)
        Path("a/x.pth").symlink_to((other / name).resolve())
        scores, _ = score_options(args, "test")
        assert ("--retrieval" in scores) == there


def test_fine_tuned_encoder_has_no_retrieval_score(args):
    config = Path("exp/st_mine/config.yaml")
    config.write_text(config.read_text().replace("freeze: true", "freeze: false"))
    scores, page = score_options(args, "test")
    assert "--retrieval" not in scores and "--figure" in page


def test_baseline_and_ceiling(args, caplog):
    args.baseline_exp = "exp/st_plain"
    caplog.set_level("INFO")
    assert "--baseline" not in score_options(args, "test")[0]
    assert "without exp/st_plain, which has not decoded it" in caplog.text
    write_text(Path("exp/st_plain/decode/test/text"), {"u1": "one", "u2": "two"})
    Path("exp/st_plain/config.yaml").write_text("token_type: bpe\n")
    scores, page = score_options(args, "test")
    assert scores[scores.index("--baseline") + 1] == "plain"
    assert scores[scores.index("--ceiling") + 1] == "plain=exp/st_plain/config.yaml"
    assert page.count("--system") == scores.count("--system") == 2


def test_baseline_of_the_same_name(args):
    args.baseline_exp = "../other/exp/st_mine"
    write_text(Path(args.baseline_exp, "decode/test/text"), {"u1": "a", "u2": "b"})
    scores, _ = score_options(args, "test")
    systems = [b for a, b in zip(scores, scores[1:]) if a == "--system"]
    assert [system.partition("=")[0] for system in systems] == [
        "mine",
        "../other/exp/st_mine",
    ]
    assert scores[scores.index("--baseline") + 1] == "../other/exp/st_mine"


def test_directions_of_training(args):
    """Source languages where all is into one language, else directions."""
    assert training_directions(args) == "fr"
    write_text(Path("data/train/utt2tgt_lang"), {"t1": "en_XX", "t2": "en"})
    assert training_directions(args) == "fr"
    write_text(Path("data/train/utt2tgt_lang"), {"t1": "en", "t2": "de"})
    assert training_directions(args) == "fr:de fr:en"
    # Spellings of one language.
    write_text(Path("data/train/utt2lang"), {"t1": "fr", "t2": "FR"})
    assert training_directions(args) == "FR:de FR:en"
    write_text(Path("data/train/utt2lang"), {"t1": "fr", "t2": "fr"})
    write_text(Path("data/train/utt2tgt_lang"), {"t1": "de", "t2": "de"})
    assert training_directions(args) == "fr:de"
    main(options())
    table = Path("exp/st_mine/decode/test/score_st/table.md").read_text()
    assert "zero-shot (de fr)" in table and "supervised" not in table
    assert (
        "- directions in training: fr-de\n" in Path("exp/st_mine/README.md").read_text()
    )


def test_writes_all_that_stage_13_promises(args):
    main(options("--score_args", "--note 'a=b c'", "--report_args", "--examples 1"))
    folder = Path("exp/st_mine/decode/test/score_st")
    table = (folder / "table.md").read_text()
    assert "zero-shot (de)" in table and "- a: b c" in table and " 0.500 " in table
    assert "retrieval of test: heat" in (folder / "report.html").read_text()
    assert "## Scores on test: decode" in Path("exp/st_mine/RESULTS.md").read_text()
    card = Path("exp/st_mine/README.md").read_text()
    assert "translations in training: fr" in card and "(zero-shot): de" in card
