"""Which sentences are the same to the rules of held-out sets."""

import hashlib
import unicodedata
from itertools import chain

import pytest

from espnet_samu.corpora.held_out import _ACCENTS, _CONTENT, sentence_key

SAME = [
    ["Le test.", "LE  TEST", "«Le test» !", "Ｌｅ\u00a0test…"],  # case, punctuation
    ["l'eau", "l’eau", "lʼeau", "l´eau", "l`eau", "L eau"],  # apostrophes
    ["caf\u00e9", "cafe\u0301", "CAFÉ"],  # composed, decomposed
    ["\ufb01n ½", "fin 1⁄2"],  # compatibility forms
    ["كِتَابٌ", "كتاب", "كتـــاب"],  # vowel marks, tatweel
    ["كتابي", "کتابی", "كتابى"],  # Arabic and Persian kaf and yeh
    ["İstanbul ışık", "istanbul IŞIK", "ISTANBUL işik"],
    ["ещё всё", "Еще все", "еще\u0308 все"],  # yo and ye
    ["می\u200cخواهم", "میخواهم"],  # a joiner that only shapes
]
OTHERS = [
    ("Les tests", "Le test"),
    ("கி", "கு"),  # marks of Tamil vowels are letters' own
    ("мой", "мои"),  # so is the breve of short i
    ("año", "ano"),
    ("سأل", "سال"),  # hamza
    ("", "a"),
]


@pytest.mark.parametrize("texts", SAME)
def test_same(texts):
    assert len({sentence_key(text) for text in texts}) == 1


@pytest.mark.parametrize("one, other", OTHERS)
def test_different(one, other):
    assert sentence_key(one) != sentence_key(other)


def test_nothing_to_recognise_by():
    assert {sentence_key(text) for text in ("?!", " ", "ـ", "’")} == {sentence_key("")}


def test_letters_and_digits_are_no_punctuation():
    """What :func:`sentence_key` takes for granted where a sentence needs no table."""
    for code in filter(str.isalnum, map(chr, range(0x110000))):
        assert unicodedata.category(code)[0] not in "PSZC", ascii(code)


def test_the_fast_way_gives_the_keys_of_the_tables():
    texts = ["Été !", "ŉa ½", "\u1100 \u1161é", *chain(*SAME)]
    for text in texts:
        folded = unicodedata.normalize("NFKC", text.translate(_ACCENTS)).casefold()
        folded = unicodedata.normalize("NFKC", folded).replace("i\u0307", "i")
        content = folded.translate(_CONTENT).encode()
        key = hashlib.blake2b(content, digest_size=8).digest()
        assert sentence_key(text) == key, text
