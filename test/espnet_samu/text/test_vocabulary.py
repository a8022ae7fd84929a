"""Tests of espnet_samu.text.vocabulary."""

import io
import json

import pytest
import sentencepiece
from sentencepiece import sentencepiece_model_pb2

from espnet_samu.text.layout import Layout
from espnet_samu.text.vocabulary import Vocabulary, check_bpemodel, read_token_list


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
PIECES = [
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
    for name, score, kind in PIECES:
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
