import json
import shutil
import string

import pytest
import torch

from espnet_samu.bin.trim_vocab import add_languages, get_parser, main
from espnet_samu.speech2text import Speech2Text
from espnet_samu.tasks.st import STTask

UNUSED = ["▁x", "▁zz", "яя", "вв"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Folder of a random mBART-50 whose pieces are letters; torch seed 0."""
    from sentencepiece import sentencepiece_model_pb2
    from transformers import MBartConfig, MBartForConditionalGeneration

    folder = tmp_path_factory.mktemp("mbart")
    proto = sentencepiece_model_pb2.ModelProto()
    for name, kind in (("<unk>", 2), ("<s>", 3), ("</s>", 3)):
        proto.pieces.add(piece=name, type=kind)
    for name in ["▁", *string.ascii_lowercase, *UNUSED, "жж"]:
        proto.pieces.add(piece=name, score=-2.0 - (name == "жж"))
    (folder / "sentencepiece.bpe.model").write_bytes(proto.SerializeToString())
    config = MBartConfig(
        vocab_size=len(proto.pieces) + 54,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=64,
    )
    torch.manual_seed(0)
    MBartForConditionalGeneration(config).save_pretrained(folder)
    return folder


def test_trim_train_translate(model, data, st_cmd, tmp_path, batch, capsys):
    folder = tmp_path / "trimmed"
    cmd = ["--model", str(model), "--text", str(data / "text")]
    cmd += ["--check_text", str(data / "src_text"), "--add_languages", "ca_ES=es_XX"]
    cmd += ["--nj", "2", "--output_dir", str(folder)]
    main(cmd)
    printed = capsys.readouterr().out
    # 5 special tokens, 52 codes, "▁", a-z, the least probable piece, Catalan.
    for line in (
        "| piece of the texts      |      6 |",
        "| letter of their scripts |     21 |",
        "| least probable piece    |      1 |",
        "| added language          |      1 |",
        "| tokens                      |    89 |    86 |",
    ):
        assert line.replace(" ", "") in printed.replace(" ", "")

    exp = tmp_path / "exp"
    STTask.main(
        cmd=st_cmd(
            exp,
            *["--decoder_conf", f"model={folder}"],
            token_type="bpe",
            token_list=f"{folder}/tokens.txt",
            bpemodel=f"{folder}/bpe.model",
            # The command line takes precedence for `model`.
            decoder_conf={"model": "facebook/not-read", "model_conf": {"dropout": 0.0}},
            model_conf={
                "tgt_sym_sos": "</s>",
                "tgt_sym_eos": "</s>",
                "report_bleu": False,
            },
            tgt_lang_token="ca_ES",
        )
    )
    tokens = (folder / "tokens.txt").read_text().splitlines()
    # From now on only the experiment is read.
    shutil.rmtree(folder)
    translator = Speech2Text(None, f"{exp}/1epoch.pth", beam_size=2, maxlenratio=-4)
    assert translator.model.decoder.lang_token_id == tokens.index("ca_ES")
    assert translator.model.sos == translator.model.eos == 2
    speeches = [speech[:n] for speech, n in zip(*batch)]
    for (best,) in translator.batch(speeches):
        assert best.token == [tokens[i] for i in best.token_int]
        assert len(best.token) <= 4


def test_up_to_date(model, data, tmp_path, capsys):
    cmd = ["--model", str(model), "--text", str(data / "text")]
    cmd += ["--output_dir", str(tmp_path / "out")]
    main(cmd)
    printed = capsys.readouterr().out
    report = tmp_path / "out" / "trim.json"
    inode = report.stat().st_ino
    assert json.loads(report.read_text())["kept"]["added language"] == 0
    main(cmd)
    assert capsys.readouterr().out == printed
    assert report.stat().st_ino == inode


@pytest.mark.parametrize(
    "value, expected",
    [
        ("", {}),
        ("ca_ES=es_XX", {"ca_ES": "es_XX"}),
        ("ca_ES = es, cy_GB=en_XX", {"ca_ES": "es", "cy_GB": "en_XX"}),
    ],
)
def test_add_languages(value, expected):
    assert add_languages(value) == expected


@pytest.mark.parametrize("value", ["ca_ES", "ca_ES=", "=es_XX", "ca_ES:es_XX"])
def test_add_languages_wrong(value, capsys):
    cmd = ["--model", "m", "--text", "t", "--output_dir", "o"]
    with pytest.raises(SystemExit):
        get_parser().parse_args([*cmd, "--add_languages", value])
    assert "must be NEW=NEIGHBOUR" in capsys.readouterr().err
