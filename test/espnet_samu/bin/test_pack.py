import os
import shutil
import zipfile

import pytest
import torch
import yaml
from espnet2.bin.st_inference import Speech2Text as ESPnetSpeech2Text

from espnet_samu.bin import pack
from espnet_samu.bin.pack import main
from espnet_samu.speech2text import Speech2Text
from espnet_samu.tasks.st import STTask

OPTIONS = {"beam_size": 2, "maxlenratio": -5, "minlenratio": -4}


@pytest.fixture
def train(st_cmd, tmp_path, monkeypatch):
    """Makes an experiment in exp/st of a recipe's folder; returns what packs it."""
    recipe = tmp_path / "recipe"
    recipe.mkdir()
    monkeypatch.chdir(recipe)

    def make(exp="exp/st", **conf):
        exp = recipe / exp
        STTask.main(cmd=st_cmd(exp, tgt_lang_token="en_XX", **conf))
        (exp / "RESULTS.md").write_text("BLEU")
        (exp / "images").mkdir()
        (exp / "images" / "loss.png").write_text("a line")
        path = str(exp)[len(f"{recipe}/") :] if recipe in exp.parents else exp
        # as in st.sh, which names RESULTS.md twice
        return [
            "st",
            f"--st_train_config={path}/config.yaml",
            f"--st_model_file={path}/1epoch.pth",
            f"--option={path}/RESULTS.md",
            f"--option={path}/RESULTS.md",
            f"--option={path}/images",
            f"--outpath={path}/packed.zip",
        ]

    return make


def decode(batch, *args, **kwargs):
    speech2text = Speech2Text.from_pretrained(*args, **OPTIONS, **kwargs)
    return [speech2text(batch[0][i, :2000]) for i in range(4)]


def test_opens_elsewhere(train, batch, tmp_path):
    cmd = train()
    expected = decode(batch, st_model_file="exp/st/1epoch.pth")
    main(cmd)
    shutil.move("exp/st/packed.zip", tmp_path / "packed.zip")
    shutil.rmtree("exp")
    with zipfile.ZipFile(tmp_path / "packed.zip") as archive:
        assert sorted(archive.namelist()) == [
            "exp/st/1epoch.pth",
            "exp/st/RESULTS.md",
            "exp/st/config.yaml",
            "exp/st/images/loss.png",
            "meta.yaml",
        ]
        assert archive.testzip() is None
    assert decode(batch, tmp_path / "packed.zip", tmp_path / "cache") == expected
    # unpacked by ESPnet's own function, and by hand
    from espnet2.main_funcs.pack_funcs import unpack

    files = unpack(tmp_path / "packed.zip", tmp_path / "espnet")
    assert decode(batch, **files) == expected
    with zipfile.ZipFile(tmp_path / "packed.zip") as archive:
        archive.extractall(tmp_path / "hand")
    assert decode(batch, tmp_path / "hand") == expected
    # ESPnet's own would build a part of the model, and fill the rest at random
    message = r"argument 'load it by espnet_samu\.speech2text\.Speech2Text\.from_pretra"
    with pytest.raises(TypeError, match=message):
        ESPnetSpeech2Text(**files)


def test_config_among_the_options_and_files_of_1970(train, batch, tmp_path):
    """The configuration of the pack is there once; zip files begin in 1980."""
    cmd = train()
    expected = decode(batch, st_model_file="exp/st/1epoch.pth")
    os.utime("exp/st/1epoch.pth", (0, 0))
    main([*cmd, "--option=exp/st/config.yaml"])
    with zipfile.ZipFile("exp/st/packed.zip") as archive:
        assert archive.namelist().count("exp/st/config.yaml") == 1
        assert archive.getinfo("exp/st/1epoch.pth").date_time[0] == 1980
    assert decode(batch, "exp/st/packed.zip", tmp_path / "cache") == expected


def test_experiment_on_another_disk(train, batch, tmp_path):
    cmd = train(exp=f"{tmp_path}/disk/st")
    expected = decode(batch, st_model_file=tmp_path / "disk/st/1epoch.pth")
    main(cmd)
    shutil.move(tmp_path / "disk/st/packed.zip", tmp_path / "packed.zip")
    shutil.rmtree(tmp_path / "disk")
    with zipfile.ZipFile(tmp_path / "packed.zip") as archive:
        assert "exp/st/1epoch.pth" in archive.namelist()
        assert all(n.startswith(("exp/st/", "meta.yaml")) for n in archive.namelist())
    assert decode(batch, tmp_path / "packed.zip", tmp_path / "cache") == expected


def test_from_inside_the_experiment(train, batch, tmp_path, monkeypatch):
    cmd = [word.replace("exp/st/", "") for word in train()]
    monkeypatch.chdir("exp/st")
    expected = decode(batch, st_model_file="1epoch.pth")
    main(cmd)
    with zipfile.ZipFile("packed.zip") as archive:
        assert "exp/st/1epoch.pth" in archive.namelist()
    assert decode(batch, "packed.zip", tmp_path / "cache") == expected


def test_two_files_of_one_name(train, tmp_path):
    cmd = train(exp=f"{tmp_path}/one/st")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    lm = tmp_path / "two" / "st"
    cmd += [f"--lm_train_config={lm}/config.yaml", f"--lm_file={lm}/1epoch.pth"]
    with pytest.raises(ValueError, match="would both be exp/st/1epoch.pth in the pack"):
        main(cmd)
    assert not (tmp_path / "one" / "st" / "packed.zip").exists()


def test_frozen_weights_come_along(train, batch, tmp_path):
    rules = {"trainable": "none", "save_trained_only": True}
    rules["trainable"] = ["none", ["layer_norm", True]]
    cmd = train(**rules)
    expected = decode(batch, st_model_file="exp/st/1epoch.pth")
    state = torch.load("exp/st/1epoch.pth")
    assert not any("embed_tokens" in key for key in state)
    main(cmd)
    shutil.move("exp/st/packed.zip", tmp_path / "packed.zip")
    shutil.rmtree("exp")
    with zipfile.ZipFile(tmp_path / "packed.zip") as archive:
        assert "exp/st/base.pth" in archive.namelist()
    assert decode(batch, tmp_path / "packed.zip", tmp_path / "cache") == expected


@pytest.fixture
def tokenizer(tmp_path):
    """Folder of a tokenizer beside a model's weights, and its tokens in a file."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", "<unk>", *"ab bcd e dcba zy x w".split(), "en_XX", "</s>"]
    tokenizer = Tokenizer(
        models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    folder = tmp_path / "mbart"
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        pad_token="<pad>",
        eos_token="</s>",
    ).save_pretrained(folder)
    (folder / "model.safetensors").write_text("large")
    (tmp_path / "tokens.txt").write_text("\n".join(words) + "\n")
    return folder


def test_tokenizer_comes_along(train, batch, tokenizer, tmp_path):
    cmd = train(
        token_type="hugging_face",
        bpemodel=str(tokenizer),
        token_list=f"{tmp_path}/tokens.txt",
    )
    expected = decode(batch, st_model_file="exp/st/1epoch.pth")
    assert any(best[0].text for best in expected)
    main(cmd)
    shutil.move("exp/st/packed.zip", tmp_path / "packed.zip")
    shutil.rmtree("exp")
    shutil.rmtree(tokenizer)
    (tmp_path / "tokens.txt").unlink()
    with zipfile.ZipFile(tmp_path / "packed.zip") as archive:
        names = archive.namelist()
        assert "exp/st/tokenizer/tokenizer.json" in names
        assert not any("safetensors" in name for name in names)
        config = yaml.safe_load(archive.read("exp/st/config.yaml"))
        assert config["bpemodel"] == "exp/st/tokenizer"
    assert decode(batch, tmp_path / "packed.zip", tmp_path / "cache") == expected
    from espnet2.main_funcs.pack_funcs import unpack

    assert decode(batch, **unpack(tmp_path / "packed.zip", "there")) == expected


def test_sentencepiece_comes_along(train, batch, tmp_path):
    """The copy of the training, whatever an option of st.sh names since."""
    import sentencepiece

    (tmp_path / "recipe" / "data").mkdir()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["ab bcd e dcba zy x w"] * 9),
        model_prefix="data/bpe",
        vocab_size=20,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    pieces = sentencepiece.SentencePieceProcessor("data/bpe.model")
    pieces = [pieces.id_to_piece(i) for i in range(3, pieces.get_piece_size())]
    tokens = ["<blank>", "<unk>", *pieces, "en_XX", "<sos/eos>"]
    (tmp_path / "tokens.txt").write_text("\n".join(tokens) + "\n")
    cmd = train(
        token_type="bpe",
        bpemodel="data/bpe.model",
        token_list=f"{tmp_path}/tokens.txt",
    )
    expected = decode(batch, st_model_file="exp/st/1epoch.pth")
    (tmp_path / "recipe" / "data" / "bpe.model").write_text("of stage 5 run again")
    assert decode(batch, st_model_file="exp/st/1epoch.pth") == expected
    for option in (["--option=data/bpe.model"], []):
        main([*cmd, *option])
        shutil.move("exp/st/packed.zip", tmp_path / "packed.zip")
        with zipfile.ZipFile(tmp_path / "packed.zip") as archive:
            names = archive.namelist()
            assert names.count("exp/st/tokenizer/bpe.model") == 1
            assert "data/bpe.model" not in names
        found = decode(batch, tmp_path / "packed.zip", tmp_path / "cache")
        assert found == expected
    shutil.rmtree("data")
    shutil.move("exp/st", tmp_path / "moved")
    assert decode(batch, st_model_file=tmp_path / "moved/1epoch.pth") == expected
    main([word.replace("exp/st/", f"{tmp_path}/moved/") for word in cmd])
    with zipfile.ZipFile(tmp_path / "moved" / "packed.zip") as archive:
        assert "exp/moved/tokenizer/bpe.model" in archive.namelist()
    assert decode(batch, tmp_path / "moved/packed.zip", tmp_path / "c2") == expected


def test_missing_files(train, capsys):
    cmd = train()
    with pytest.raises(
        FileNotFoundError, match="exp/st/ppl, which is to be packed, is"
    ):
        main([*cmd, "--option=exp/st/ppl"])
    with pytest.raises(ValueError, match="exp/st/1epoch.pth is to be packed, and"):
        main([*cmd, "--outpath=exp/st/1epoch.pth"])
    with pytest.raises(SystemExit):
        main(["st", "--outpath=x.zip"])
    assert "st_train_config" in capsys.readouterr().err


def test_others_go_to_espnet(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(pack.host, "main", seen.append)
    (tmp_path / "config.yaml").write_text("decoder: transformer\n")
    for cmd in (
        ["asr", "--outpath=x.zip"],
        [
            "st",
            "--outpath=x.zip",
            f"--st_train_config={tmp_path}/config.yaml",
            "--st_model_file=x.pth",
        ],
        [],
    ):
        main(cmd)
        assert seen.pop() == cmd
    # with the tokenizer, which st.sh does not name
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "bpe.model").touch()
    (tmp_path / "config.yaml").write_text(
        "decoder: transformer\nbpemodel: exp/st/tokenizer/bpe.model\n"
    )
    cmd = ["st", f"--st_train_config={tmp_path}/config.yaml", "--outpath=x.zip"]
    main([*cmd, "--st_model_file=x.pth"])
    assert seen.pop()[-1] == f"--option={tmp_path}/tokenizer/bpe.model"


def test_an_empty_config_yaml(tmp_path):
    (tmp_path / "config.yaml").write_text("null\n")
    command = f"st --outpath a.zip --st_train_config {tmp_path}/config.yaml"
    message = f"{tmp_path}/config.yaml is not the config.yaml of a translation model"
    with pytest.raises(ValueError, match=message):
        main([*command.split(), "--st_model_file", "a.pth"])
