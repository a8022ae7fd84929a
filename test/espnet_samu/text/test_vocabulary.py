"""Tests of espnet_samu.text.vocabulary."""

import io
import json

import pytest
import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from transformers import AutoTokenizer

from espnet_samu.text.vocabulary import (
    Layout,
    Vocabulary,
    check_bpemodel,
    find_layout,
    read_token_list,
)

PIECES = ["<unk>", "<s>", "</s>", "▁", "ab"]
FIRST = ["<s>", "<pad>", "</s>", "<unk>"]


def test_file_and_list(tmp_path):
    file = tmp_path / "tokens.txt"
    file.write_text("<blank>\n▁das \n\u3000\n中\n", encoding="utf-8")
    # a token that is a blank is empty, as in ESPnet's models
    assert read_token_list(file) == ["<blank>", "▁das", "", "中"]
    assert read_token_list(str(file)) == read_token_list(file)
    tokens = ("a", "b")
    assert read_token_list(tokens) == ["a", "b"]


@pytest.fixture
def bpemodel(tmp_path):
    """Sentencepiece model of characters, and its pieces without the special ones."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["ab ac"]),
        model_writer=model,
        model_type="char",
        vocab_size=7,
        minloglevel=2,
    )
    path = tmp_path / "bpe.model"
    path.write_bytes(model.getvalue())
    return path, ["a", "b", "c", "▁"]


def test_bpemodel_of_the_token_list(bpemodel):
    path, pieces = bpemodel
    check_bpemodel(path, ["<blank>", "<unk>", *pieces, "<sos/eos>"])


def test_foreign_bpemodel(bpemodel):
    path, pieces = bpemodel
    message = (
        f"bpemodel {path} does not match .*: 2 of 4 pieces are not in it, e.g. b c"
    )
    with pytest.raises(ValueError, match=message):
        check_bpemodel(path, ["<blank>", "<unk>", "a", "▁", "<sos/eos>"])


@pytest.mark.parametrize("content", [b"", b"text\n", None, "half"])
def test_no_bpemodel(bpemodel, content):
    path, pieces = bpemodel
    if content is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-9] if content == "half" else content)
    with pytest.raises(
        ValueError, match=f"bpemodel {path} is not a sentencepiece model"
    ):
        check_bpemodel(path, pieces)


NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = range(1, 7)
TYPED_PIECES = [
    ("<unk>", 0.0, UNKNOWN),
    ("<s>", 0.0, CONTROL),
    ("</s>", 0.0, CONTROL),
    ("▁", -2.0, NORMAL),
    ("ab", -1.0, NORMAL),
    ("<c>", 0.0, CONTROL),
    ("a", -9.0, NORMAL),
    ("b", -3.0, NORMAL),
    ("c\u3000", -99.0, NORMAL),
    ("<x>", 0.0, USER),
    ("d", -1.0, UNUSED),
    ("no row", -1.0, NORMAL),
]
TOKENS = ["<s>", "<pad>", "</s>", "<unk>", "b", "ab", "<c>", "a", "c\u3000", "▁"]
TOKENS += ["<x>", "d", "__en__", "__es__", "<mask>"]


def make(model_type=1, tokenizer="M2M100Tokenizer"):
    proto = sentencepiece_model_pb2.ModelProto()
    proto.trainer_spec.model_type = model_type
    for name, score, kind in TYPED_PIECES:
        proto.pieces.add(piece=name, score=score, type=kind)
    return Vocabulary(proto, Layout(TOKENS, ["__en__", "__es__"], tokenizer))


def test_rows():
    vocabulary = make()
    assert len(vocabulary) == 15
    assert vocabulary.languages == {"__en__": 12, "__es__": 13}
    assert vocabulary.special == [0, 1, 2, 3, 6, 10, 14]
    # ESPnet would read "c\u3000" as "c".
    assert vocabulary.pieces == {"▁": 9, "ab": 5, "a": 7, "b": 4}
    assert vocabulary.least_probable == 7
    assert make(model_type=2).least_probable is None


def test_trimmed_model():
    vocabulary = make()
    trimmed = sentencepiece.SentencePieceProcessor(
        model_proto=vocabulary.trimmed_model([0, 1, 2, 3, 4, 6, 7, 9, 10, 14])
    )
    pieces = [trimmed.id_to_piece(i) for i in range(trimmed.get_piece_size())]
    assert pieces == ["<unk>", "<s>", "</s>", "▁", "<c>", "a", "b", "<x>"]
    assert trimmed.get_score(5) == -9.0
    full = vocabulary.processor()
    assert full.encode("ab b", out_type=str) == ["▁", "ab", "▁", "b"]
    assert trimmed.encode("ab b", out_type=str) == ["▁", "a", "b", "▁", "b"]


def test_tokenizer_files():
    files = make().tokenizer_files([0, 1, 2, 3, 7, 12, 13], ["__ca__"])
    assert {name: json.loads(text) for name, text in files.items()} == {
        "tokenizer_config.json": {
            "tokenizer_class": "M2M100Tokenizer",
            "additional_special_tokens": ["__ca__"],
        },
        "vocab.json": {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "a": 4},
    }
    assert list(make(tokenizer="MBart50Tokenizer").tokenizer_files([0], [])) == [
        "tokenizer_config.json"
    ]
    assert make(tokenizer=None).tokenizer_files([0], []) == {}


def test_other_models():
    with pytest.raises(ValueError, match="model_type 3 is neither unigram nor bpe"):
        make(model_type=3)


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
