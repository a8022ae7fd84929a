import io

import pytest
import sentencepiece

from espnet_samu.corpora.utterance import (
    LONGEST,
    clean_text,
    csv_unquote,
    id_fault,
    safe_ids,
)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("  a\u00a0b  c ", "a\u00a0b  c"),
        ("\ufeffa\u200bb\u200e \u00ad!\u2060\x07", "ab !"),
        # A Persian, a Hindi word, an emoji in three parts, an Arabic mark of years.
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("क्\u200dष", "क्\u200dष"),
        ("👩\u200d🚀 ❤\ufe0f", "👩\u200d🚀 ❤\ufe0f"),
        ("\u0601", "\u0601"),
        ("e\u0301 \u1100\u1161", "é 가"),
        ("，？ ½ ｶﾞ", "，？ ½ ｶﾞ"),
        ("\u200b", ""),
        ("\ufeff \u200e\u3000", ""),
        ("\u200d\ufe0f", ""),
        ("\u3164", ""),
        ("▁", ""),
        ("\ufffd", ""),
        ("\ufffd a", "\ufffd a"),
        ("", ""),
    ],
)
def test_clean_text(text, expected):
    assert clean_text(text) == expected
    assert clean_text(expected) == expected


@pytest.mark.parametrize("length", [1, 60, 74, 75, 87, 99, 100])
def test_a_long_speaker_leaves_room_for_the_utterance(length):
    """What is replaced can be used itself: an id of 129 characters stopped stage 1."""
    speaker = "s" * length
    ids = {safe_ids(f"{n}" + "x" * 130, speaker) for n in range(3)}
    assert {own for _, own in ids} == {speaker}
    assert all(id_fault(utt) is None and len(utt) <= LONGEST for utt, _ in ids)
    assert len(ids) == 3


def test_empty_is_what_is_empty_to_a_tokenizer():
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the train is here", "a boat is there"] * 4),
        model_writer=model,
        vocab_size=20,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    # Its normalisation is that of mBART-50, M2M-100 and XLM-R.
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    characters = [chr(c) for c in range(0xFFFF) if not 0xD800 <= c < 0xE000]
    empty = [c for c, ids in zip(characters, processor.encode(characters)) if not ids]
    assert len(empty) == 60
    assert [c for c in empty if clean_text(c)] == []


@pytest.mark.parametrize(
    "text, expected",
    [
        (
            '"A ""chanson"", by contrast, is a song."',
            'A "chanson", by contrast, is a song.',
        ),
        ('"""Oui"", dit-il."', '"Oui", dit-il.'),
        ('"A quotation."', "A quotation."),
        # What no CSV writer writes.
        ('"Oui", dit-il.', '"Oui", dit-il.'),
        ('"Oui" et "non"', '"Oui" et "non"'),
        ('say "no"', 'say "no"'),
        ('"a', '"a'),
        ('"', '"'),
        ('""', ""),
        ("", ""),
    ],
)
def test_csv_unquote(text, expected):
    assert csv_unquote(text) == expected
    # Where quotes stand only where they are needed, these are the text's own.
    sure = '""' in text[1:-1]
    assert csv_unquote(text, always=False) == (expected if sure else text)
