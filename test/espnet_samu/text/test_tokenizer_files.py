"""Tests of espnet_samu.text.tokenizer_files."""

import shutil
from argparse import Namespace
from pathlib import Path

import pytest

from espnet_samu.text.tokenizer_files import (
    is_same_tokenizer,
    keep_tokenizers,
    kept_tokenizers,
    own_tokenizer,
)


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """Folder with sentencepiece models of both sides and a pre-trained model."""
    monkeypatch.chdir(tmp_path)
    for name, content in (
        ("data/tgt/bpe.model", "tgt"),
        ("data/src/bpe.model", "src"),
        ("mbart/config.json", "{}"),
        ("mbart/tokenizer.json", "[]"),
        ("mbart/model.safetensors", "large"),
        ("mbart/README.md", "text"),
        ("mbart/.cache", "hidden"),
        ("mbart/onnx/model.json", "inside"),
    ):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(content)
    return tmp_path


def keep(bpemodel, src_bpemodel=None):
    args = Namespace(
        bpemodel=bpemodel, src_bpemodel=src_bpemodel, output_dir="exp/st", other=1
    )
    keep_tokenizers(args)
    return args.bpemodel, args.src_bpemodel


def test_copies(recipe):
    names = keep("data/tgt/bpe.model", "data/src/bpe.model")
    assert names == ("exp/st/tokenizer/bpe.model", "exp/st/src_tokenizer/bpe.model")
    assert [Path(name).read_text() for name in names] == ["tgt", "src"]
    # the same again is not written again, another one is
    inode = Path(names[0]).stat().st_ino
    for source in ("data/tgt/bpe.model", str(recipe / "data/tgt/bpe.model"), names[0]):
        assert keep(source) == (names[0], None)
        assert Path(names[0]).stat().st_ino == inode
    keep("data/src/bpe.model")
    assert Path(names[0]).read_text() == "src"
    assert keep("user/model", "none") == ("user/model", "none")  # a hub id
    (recipe / "exp/st/tokenizer/.made_by").unlink()
    with pytest.raises(ValueError, match="exp/st/tokenizer is not empty and was not"):
        keep("data/tgt/bpe.model")


def test_a_folder(recipe):
    """Without the weights beside a tokenizer."""
    assert keep("mbart") == ("exp/st/tokenizer", None)
    found = sorted(path.name for path in Path("exp/st/tokenizer").iterdir())
    assert found == [".made_by", "config.json", "tokenizer.json"]
    assert is_same_tokenizer("mbart", "exp/st/tokenizer")
    Path("mbart/model.safetensors").write_text("trained on")
    assert is_same_tokenizer("mbart", "exp/st/tokenizer")
    Path("mbart/tokenizer.json").write_text("{}")
    assert not is_same_tokenizer("mbart", "exp/st/tokenizer")
    Path("mbart/tokenizer.json").unlink()
    assert not is_same_tokenizer("mbart", "exp/st/tokenizer")
    assert not is_same_tokenizer("mbart/config.json", "exp/st/tokenizer")
    assert not is_same_tokenizer("user/model", "exp/st/tokenizer")


def test_moved(recipe):
    keep("data/tgt/bpe.model")
    config = {"bpemodel": "exp/st/tokenizer/bpe.model"}
    assert kept_tokenizers(config, Path("exp/st")) == ["exp/st/tokenizer/bpe.model"]
    shutil.move("exp/st", "moved")
    assert kept_tokenizers(config, Path("moved")) == ["moved/tokenizer/bpe.model"]
    assert kept_tokenizers({"bpemodel": "data/tgt/bpe.model"}, Path("moved")) == []
    # a copied experiment uses its own, whether the first one is still there or not
    shutil.copytree("moved", "exp/st")
    assert own_tokenizer(config["bpemodel"], "moved") == "moved/tokenizer/bpe.model"
    assert own_tokenizer("exp/st/tokenizer", "moved") == "moved/tokenizer"
    for value in ("data/tgt/bpe.model", "exp/st/tokenizer/x.model", "user/model", None):
        assert own_tokenizer(value, "moved") == value
