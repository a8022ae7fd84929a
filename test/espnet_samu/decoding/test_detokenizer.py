import io

import pytest

from espnet_samu.decoding.detokenizer import Detokenizer


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


def test_bpe(sentencepiece_model):
    import sentencepiece

    detokenize = Detokenizer("bpe", str(sentencepiece_model))
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
    with pytest.raises(ValueError, match=f"'{tmp_path}' is no tokenizer .* --bpemodel"):
        Detokenizer("hugging_face", str(tmp_path))
    with pytest.raises(ValueError, match="bpemodel 'None' is no tokenizer"):
        Detokenizer("hugging_face")
