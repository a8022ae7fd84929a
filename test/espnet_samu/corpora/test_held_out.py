"""Which sentences are the same to the rules of held-out sets."""

import pytest

from espnet_samu.corpora.held_out import sentence_key

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
