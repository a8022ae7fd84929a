"""Tests of espnet_samu.text.kept_pieces."""

from collections import Counter

import pytest
import sentencepiece
from sentencepiece import sentencepiece_model_pb2

from espnet_samu.text.kept_pieces import choose, main_scripts, merge_steps, scripts
from espnet_samu.text.layout import find_layout
from espnet_samu.text.vocabulary import Vocabulary

# "ab" joins first, then "cd", "bc" never in "abcd", then "abcd".
SCORES = {"ab": 0, "cd": -1, "bc": -2, "abcd": -3, "a": -9, "b": -9, "c": -9, "d": -9}


def test_merge_steps():
    assert merge_steps(["abcd"], SCORES) == {"ab", "cd", "abcd"}
    assert merge_steps(["bcd"], SCORES) == {"cd"}
    assert merge_steps(["bc", "a", "☃x"], SCORES) == {"bc"}


def test_without_a_step_the_piece_is_not_reached():
    def encode(pieces):
        proto = sentencepiece_model_pb2.ModelProto()
        proto.trainer_spec.model_type = proto.trainer_spec.BPE
        proto.normalizer_spec.add_dummy_prefix = False
        for name, kind in (("<unk>", 2), ("<s>", 3), ("</s>", 3)):
            proto.pieces.add(piece=name, type=kind)
        for piece in pieces:
            proto.pieces.add(piece=piece, score=SCORES[piece])
        processor = sentencepiece.SentencePieceProcessor(
            model_proto=proto.SerializeToString()
        )
        return processor.encode("abcd", out_type=str)

    assert encode(SCORES) == ["abcd"]
    assert encode(["a", "b", "c", "d", *merge_steps(["abcd"], SCORES)]) == ["abcd"]
    assert encode(["a", "b", "c", "d", "abcd"]) == ["a", "b", "c", "d"]


PIECES = ["▁", "▁ab", "a", "b", "c", "é", "ж", "ш", "漢", "字", ".", "“", "5", "€", "¬"]
RARE = ["▁rare", "zz"]


def make_vocabulary(scores, model_type=1):
    """An mBART-25 of pieces by score."""
    proto = sentencepiece_model_pb2.ModelProto()
    proto.trainer_spec.model_type = model_type
    for name, kind in (("<unk>", 2), ("<s>", 3), ("</s>", 3)):
        proto.pieces.add(piece=name, type=kind)
    for name, score in scores.items():
        proto.pieces.add(piece=name, score=score)
    pieces = [piece.piece for piece in proto.pieces]
    config = {"model_type": "mbart", "vocab_size": len(pieces) + 1 + 25 + 1}
    return Vocabulary(proto, find_layout(config, pieces))


@pytest.fixture
def vocabulary():
    """PIECES and RARE; the last one is the least probable."""
    return make_vocabulary({piece: -i for i, piece in enumerate(PIECES + RARE)})


def test_reasons(vocabulary):
    # 200 Latin letters, one Russian one, which does not bring its script.
    reasons = choose(vocabulary, {"▁ab": 100, "ж": 1, "☃": 5})
    kept = {vocabulary.layout.tokens[row]: reason for row, reason in reasons.items()}
    assert list(reasons) == sorted(reasons)
    assert [kept.pop(t) for t in ("<s>", "<pad>", "</s>", "<unk>", "<mask>")] == (
        ["special token"] * 5
    )
    assert [kept.pop(code) for code in vocabulary.languages] == ["language code"] * 25
    assert kept == {
        "▁ab": "piece of the texts",
        "ж": "piece of the texts",
        "▁": "character of the texts",
        "a": "character of the texts",
        "b": "character of the texts",
        "c": "letter of their scripts",
        "é": "letter of their scripts",
        ".": "common character",
        "“": "common character",
        "5": "common character",
        "€": "common character",
        "zz": "least probable piece",
    }


def test_scripts_of_the_target_languages(vocabulary):
    # One Chinese character among 200 Japanese letters, and none of them.
    for counts in ({"あ": 200, "漢": 1}, {"あ": 200}):
        for languages, other in (([], None), (["ja"], "letter of their scripts")):
            reasons = choose(vocabulary, counts, languages)
            assert reasons.get(vocabulary.pieces["字"]) == other
    assert vocabulary.pieces["ш"] in choose(vocabulary, {"a": 1}, ["en", "sr"])
    assert vocabulary.pieces["ш"] not in choose(vocabulary, {"a": 1}, ["sr-Latn"])


def test_steps_of_byte_pair_encoding():
    scores = {"▁": -9, "ab": -1, "abab": -2, "cc": -3, "a": -9, "b": -9, "c": -9}
    vocabulary = make_vocabulary(scores, model_type=2)
    reasons = choose(vocabulary, {"▁": 1, "abab": 1})
    assert reasons[vocabulary.pieces["abab"]] == "piece of the texts"
    assert reasons[vocabulary.pieces["ab"]] == "step to a longer piece"
    assert vocabulary.pieces["cc"] not in reasons
    assert "least probable piece" not in reasons.values()


def test_cost_of_unknown_characters():
    # sentencepiece: that of the least probable piece and 10 more. "▁ xa b" has log
    # probability -29, "▁ ? ab" has -32 with "zz" and would have -26 without.
    scores = {"▁": -1, "xa": -14, "b": -14, "ab": -1, "zz": -20, "other": -2}
    vocabulary = make_vocabulary(scores)
    pieces = vocabulary.processor().encode("xab ab", out_type=str)
    assert pieces == ["▁", "xa", "b", "▁", "ab"]
    rows = choose(vocabulary, Counter(pieces))
    assert rows[vocabulary.pieces["zz"]] == "least probable piece"
    assert vocabulary.pieces["other"] not in rows

    def encode(rows):
        processor = sentencepiece.SentencePieceProcessor(
            model_proto=vocabulary.trimmed_model(rows)
        )
        return processor.encode("xab ab", out_type=str)

    assert encode(rows) == pieces
    assert encode(set(rows) - {vocabulary.pieces["zz"]})[:2] == ["▁", "x"]


@pytest.mark.parametrize(
    "character, expected",
    [
        ("a", "Latn"),
        ("é", "Latn"),
        ("ж", "Cyrl"),
        ("漢", "Hani"),
        ("あ", "Hira"),
        ("ி", "Taml"),
        ("ー", "Hira Kana"),
        ("َ", "Arab Syrc"),
        ("5", ""),
        ("▁", ""),
        ("€", ""),
    ],
)
def test_scripts(character, expected):
    assert scripts(character) == set(expected.split())


def test_main_scripts():
    assert main_scripts({"a": 98, "é": 1, "ж": 1, "漢": 0, "5": 900}) == [
        "Latn",
        "Cyrl",
    ]
    assert main_scripts({"a": 100, "ж": 1, ".": 1}) == ["Latn"]
    assert main_scripts({}) == []
