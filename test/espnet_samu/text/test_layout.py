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


def seamless_vocab(**rows):
    """tokenizer_config.json with added tokens by row."""
    added = {row[1:]: {"content": token} for row, token in rows.items()}
    return json.dumps({"added_tokens_decoder": added}).encode()


def test_seamless():
    added = seamless_vocab(_0="<pad>", _6="__eng__", _7="__cmn_Hant__", _8="<MINED>")
    for size in (9, 10):
        config = {"model_type": "seamless_m4t_v2", "vocab_size": size}
        layout = find_layout(config, PIECES, added)
        assert layout.tokens[:7] == "<pad> <unk> <s> </s> ▁ ab __eng__".split()
        assert (
            layout.tokens[7:]
            == ["__cmn_Hant__", "<MINED>", "madeupword0000"][: size - 7]
        )
        assert layout.languages == ["__eng__", "__cmn_Hant__"]
    for added in (None, seamless_vocab(_7="__eng__"), seamless_vocab(_0="<pad>")):
        with pytest.raises(ValueError, match="codes among them, must follow the 6 of"):
            find_layout(config, PIECES, added)


@pytest.mark.parametrize("family", ["mbart", "m2m100", "seamless"])
def test_rows_are_those_of_transformers(family, request):
    folder = request.getfixturevalue(f"{family}_folder")
    processor = sentencepiece.SentencePieceProcessor(
        model_file=str(folder / "sentencepiece.bpe.model")
    )
    pieces = [processor.id_to_piece(i) for i in range(processor.get_piece_size())]
    name = {"m2m100": "vocab.json", "seamless": "tokenizer_config.json"}.get(family)
    vocab = None if name is None else (folder / name).read_bytes()
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
