"""Tests of espnet_samu.text.layout."""

import json

import pytest
import sentencepiece
from transformers import AutoTokenizer

from espnet_samu.text.layout import find_layout

PIECES = ["<unk>", "<s>", "</s>", "▁", "ab"]
FIRST = ["<s>", "<pad>", "</s>", "<unk>"]


def test_mbart25():
    layout = find_layout({"model_type": "mbart", "vocab_size": 32}, PIECES)
    assert layout.tokens[:8] == [*FIRST, "▁", "ab", "ar_AR", "cs_CZ"]
    assert layout.tokens[30:] == ["zh_CN", "<mask>"]
    assert layout.languages == layout.tokens[6:31]
    assert layout.tokenizer_class == "MBartTokenizer"


def test_nllb():
    # 202 codes, <mask>, 2 rows that nothing uses.
    config = {"model_type": "m2m_100", "vocab_size": 6 + 202 + 1 + 2}
    layout = find_layout(config, PIECES)
    assert layout.tokens[:8] == [*FIRST, "▁", "ab", "ace_Arab", "ace_Latn"]
    assert layout.tokens[207:] == [
        "zul_Latn",
        "<mask>",
        "madeupword0000",
        "madeupword0001",
    ]
    assert layout.languages == layout.tokens[6:208]


def test_m2m100():
    vocab = {"ab": 5, "<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "zz": 4}
    config = {"model_type": "m2m_100", "vocab_size": 6 + 100 + 8}
    layout = find_layout(config, PIECES, json.dumps(vocab).encode())
    assert layout.tokens[:8] == [*FIRST, "zz", "ab", "__af__", "__am__"]
    assert layout.tokens[105:107] == ["__zu__", "madeupword0000"]
    assert len(layout.tokens) == 114
    assert layout.languages == layout.tokens[6:106]


@pytest.mark.parametrize("family", ["mbart", "m2m100"])
def test_rows_are_those_of_transformers(family, request):
    folder = request.getfixturevalue(f"{family}_folder")
    processor = sentencepiece.SentencePieceProcessor(
        model_file=str(folder / "sentencepiece.bpe.model")
    )
    pieces = [processor.id_to_piece(i) for i in range(processor.get_piece_size())]
    vocab = (folder / "vocab.json").read_bytes() if family == "m2m100" else None
    config = json.loads((folder / "config.json").read_text())
    tokens = find_layout(config, pieces, vocab).tokens
    assert len(tokens) == config["vocab_size"]
    known = [token for token in tokens if not token.startswith("madeupword")]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.convert_tokens_to_ids(known) == list(range(len(known)))


VOCAB = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}


@pytest.mark.parametrize(
    "kind, size, pieces, vocab, expected",
    [
        ("mbart", 33, PIECES, None, "is 33, .* 5 pieces .* would be 32 or 59"),
        ("m2m_100", 300, PIECES, None, "is 300, .* would be 209"),
        ("m2m_100", 113, PIECES, VOCAB, "is 113, .* would be 104"),
        ("mbart", 32, PIECES[1:3] + PIECES, None, "begins with <s> </s> <unk>, but"),
        ("mbart", 33, [*PIECES, "en_XX"], None, "a piece is there twice"),
        ("m2m_100", 104, PIECES, {**VOCAB, "a": 5}, "have no gap"),
        ("m2m_100", 104, PIECES, {"a": 0}, "begin with <s> <pad> </s> <unk>"),
        ("mbart", None, PIECES, None, "vocab_size must be a number of rows: None"),
        ("bart", 104, PIECES, None, "model_type 'bart' is none of .* mbart .*NLLB"),
    ],
)
def test_not_as_published(kind, size, pieces, vocab, expected):
    config = {"model_type": kind, "vocab_size": size}
    content = None if vocab is None else json.dumps(vocab).encode()
    with pytest.raises(ValueError, match=expected):
        find_layout(config, pieces, content)
