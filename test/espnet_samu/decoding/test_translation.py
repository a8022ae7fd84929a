"""Tests of espnet_samu.decoding.translation."""

import io
import shutil

import pytest
import torch

from espnet_samu.decoding.search import Hypothesis, Translation
from espnet_samu.decoding.translation import (
    Detokenizer,
    TranslationMaker,
    check_limit,
    cut,
    glue,
)


@pytest.fixture(scope="module")
def sentencepiece_model(tmp_path_factory):
    import sentencepiece

    content = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the cat sleeps", "a small dog"] * 20),
        model_writer=content,
        vocab_size=30,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    path = tmp_path_factory.mktemp("sp") / "bpe.model"
    path.write_bytes(content.getvalue())
    return path


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory):
    """A tokenizer of words, with special tokens."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<s>", "<pad>", "</s>", "<unk>", "the", "cat", "en_XX"]
    tokenizer = Tokenizer(
        models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    folder = tmp_path_factory.mktemp("tokenizer")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
    ).save_pretrained(folder)
    return folder


def test_char():
    detokenize = Detokenizer("char")
    tokens = ["a", "<space>", "en_XX", "b", "<blank>", "<unk>", "<sos/eos>"]
    assert detokenize(tokens) == "a b<unk>"
    assert detokenize([]) == ""


def test_bpe(sentencepiece_model, tmp_path, monkeypatch):
    """Read at once: neither a new working directory nor a lost file matters."""
    import sentencepiece

    monkeypatch.chdir(shutil.copytree(sentencepiece_model.parent, tmp_path / "cache"))
    detokenize = Detokenizer("bpe", "bpe.model")
    monkeypatch.chdir("/")
    shutil.rmtree(tmp_path / "cache")
    processor = sentencepiece.SentencePieceProcessor(str(sentencepiece_model))
    pieces = processor.encode("the small cat", out_type=str)
    assert detokenize(["<s>", *pieces, "de_DE", "</s>"]) == "the small cat"
    assert detokenize([]) == ""


def test_hugging_face(tokenizer_folder):
    detokenize = Detokenizer("hugging_face", str(tokenizer_folder))
    assert detokenize(["<s>", "the", "cat", "</s>", "en_XX"]) == "the cat"
    assert detokenize([]) == ""


def test_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.model'.* is missing; name it wi"):
        Detokenizer("bpe", f"{tmp_path}/none.model")
    with pytest.raises(FileNotFoundError, match="bpemodel 'None'"):
        Detokenizer("bpe")
    with pytest.raises(FileNotFoundError, match="bpemodel /none: no such folder; name"):
        Detokenizer("hugging_face", "/none")
    with pytest.raises(ConnectionError, match="bpemodel a/b: .*cache.*; name another"):
        Detokenizer("hugging_face", "a/b")
    with pytest.raises(
        ValueError, match=f"'{tmp_path}' is not a tokenizer .* --bpemodel"
    ):
        Detokenizer("hugging_face", str(tmp_path))
    with pytest.raises(ValueError, match="bpemodel 'None' is not a tokenizer"):
        Detokenizer("hugging_face")


RATE = 16000


def noise(seconds):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(int(seconds * RATE), generator=generator) * 0.1


def test_short_is_whole():
    speech = noise(2)
    pieces = cut(speech, 2 * RATE)
    assert len(pieces) == 1
    assert pieces[0].data_ptr() == speech.data_ptr()


def test_cuts_in_pauses():
    speech = noise(10)
    # 0.4 s each; the first of them is in the first half of a piece
    for start in (0.8, 3.2, 6.0):
        speech[int(start * RATE) : int((start + 0.4) * RATE)] *= 0.01
    pieces = cut(speech, 4 * RATE)
    assert torch.equal(torch.cat(pieces), speech)
    starts = torch.tensor([len(p) for p in pieces]).cumsum(0) / RATE
    assert starts[0].item() == pytest.approx(3.4, abs=0.06)
    assert starts[1].item() == pytest.approx(6.2, abs=0.06)
    assert len(pieces) == 3


@pytest.mark.parametrize("seconds", [4.01, 5, 7.9, 8.1, 61.3])
def test_sizes(seconds):
    speech, limit = noise(seconds), 4 * RATE
    pieces = cut(speech, limit)
    assert torch.equal(torch.cat(pieces), speech)
    assert all(limit // 4 <= len(piece) <= limit for piece in pieces)
    assert len(pieces) <= 2 * seconds / 4 + 1


def test_limit():
    check_limit(RATE)
    with pytest.raises(ValueError, match="chunk_seconds 0.25 must be 1 or more, or 0"):
        check_limit(RATE // 4)


def test_glue():
    assert [glue(code) for code in ("de_DE", "en", None, "kmr")] == [" "] * 4
    assert [glue(code) for code in ("ja_XX", "zh-CN", "__th__", "KM")] == [""] * 4


LIST = ["a", "b", "c"]
PARTS = [Hypothesis([0, 1], 3, -2.0), Hypothesis([], 1, -4.0), Hypothesis([2], 2, -1.0)]


def make(exponent=1.0, language=None):
    return TranslationMaker(LIST, "".join, exponent, language)


def test_one_piece():
    assert make()(PARTS[:1]) == Translation("ab", ["a", "b"], [0, 1], -2.0)
    assert make()(PARTS[1:2]) == Translation("", [], [], -4.0)


@pytest.mark.parametrize(
    "usual, said, text",
    [
        (None, None, "ab c"),
        ("de_DE", None, "ab c"),
        ("ja_XX", None, "abc"),
        ("ja_XX", "de", "ab c"),
        (None, "zh-CN", "abc"),
    ],
)
def test_pieces(usual, said, text):
    joined = make(language=usual)(PARTS, said)
    assert joined[:3] == (text, ["a", "b", "c"], [0, 1, 2])
    # means of 3, 1 and 2 tokens
    assert joined.score == pytest.approx((-2 * 3 - 4 - 1 * 2) / 6)


def test_sums():
    assert make(exponent=0.0)(PARTS).score == pytest.approx(-7.0)
