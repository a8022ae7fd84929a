from collections import Counter

import pytest
import sentencepiece
from sentencepiece import sentencepiece_model_pb2

from espnet_samu.text.coverage import (
    can_be_added,
    compare,
    count_pieces,
    find_losses,
    name_characters,
    unknown_characters,
)


@pytest.fixture
def make_processor():
    """Makes a tokeniser of pieces by score."""

    def make(**scores):
        proto = sentencepiece_model_pb2.ModelProto()
        proto.normalizer_spec.add_dummy_prefix = True
        for name, kind in (("<unk>", 2), ("<s>", 3), ("</s>", 3)):
            proto.pieces.add(piece=name, type=kind)
        for name, score in scores.items():
            proto.pieces.add(piece=name, score=score)
        return sentencepiece.SentencePieceProcessor(
            model_proto=proto.SerializeToString()
        )

    return make


FULL = {"▁": -2, "▁ab": -1, "a": -5, "b": -5, "c": -5}


def test_count_pieces(make_processor, tmp_path):
    (tmp_path / "one").write_text("utt1 ab c\nutt2\nutt3 ab\n")
    (tmp_path / "two").write_text("utt1 ba\n")
    full = make_processor(**FULL)
    expected = Counter({"▁ab": 2, "▁": 2, "c": 1, "b": 1, "a": 1})
    counts = count_pieces(full, [tmp_path / "one", tmp_path / "two"])
    assert counts == (4, expected)
    assert counts == count_pieces(full, [tmp_path / "one", tmp_path / "two"], nj=2)


def test_unknown_characters(make_processor):
    full = make_processor(**FULL)
    pieces = Counter({"▁ab": 2, "éé☃": 3, "☃": 1, "c": 9})
    assert unknown_characters(full, pieces) == {"é": 6, "☃": 4}


def test_compare(make_processor, tmp_path):
    (tmp_path / "text").write_text("utt1 ab ☃\nutt2 cab\nutt3 ba\n")
    full = make_processor(**FULL)
    trimmed = make_processor(**{"▁": -2, "a": -5, "b": -5})
    # Full: ▁ab ▁ ☃ / ▁ c a b / ▁ b a; trimmed: ▁ a b ▁ ☃ / ▁ c a b / ▁ b a
    assert compare(full, trimmed, str(tmp_path / "text")) == {
        "file": str(tmp_path / "text"),
        "sentences": 3,
        "pieces": 10,
        "not_kept": 2,
        "pieces_trimmed": 12,
        "unknown_before": 1,
        "unknown_after": 2,
        "lost_characters": {"c": 1},
    }


def upper(lines):
    """A vocabulary of capital letters, to which z is unknown and 0 nothing."""
    return [line.upper().replace("Z", "⁇").replace("0", "") for line in lines]


def test_find_losses(tmp_path):
    (tmp_path / "one").write_text("utt1 AB\nutt2\nutt3 aaB\n")
    (tmp_path / "two").write_text("utt1 z 1\u00a0C\n")
    texts = [tmp_path / "one", tmp_path / "two"]
    losses = find_losses(upper, texts)
    assert losses == (4, 2, {"a": 2, "z": 1})
    assert losses.report() == {
        "sentences": 4,
        "changed_sentences": 2,
        "changed_characters": {"a": 2, "z": 1},
    }
    spaces = find_losses(lambda lines: [" ".join(x.split()) for x in lines], texts)
    assert spaces == (4, 0, {"\u00a0": 1})
    (tmp_path / "two").write_text("utt1 A\nutt2 00\n")
    with pytest.raises(ValueError, match="two:2: the translation of 'utt2', '00', is"):
        find_losses(upper, texts)


@pytest.mark.parametrize(
    "character, expected",
    [
        ("é", True),
        ("\u200c", True),
        ("z", True),
        ("A", False),  # is written
        ("\u00a0", False),
        ("\u200b", False),
        ("\u0301", False),  # composes with the letter before
        ("▁", False),
        ("\ufffd", False),
    ],
)
def test_can_be_added(character, expected):
    def write(texts):
        return [text if text == "A" else "" for text in texts]

    assert can_be_added(write, character) == expected


def test_name_characters():
    counts = {"，": 2, " ": 1, "\u200c": 3, "\u0301": 4, "\u00a0": 5}
    assert name_characters(counts) == "， 2, U+0020 1, U+200C 3, U+0301 4, U+00A0 5"
