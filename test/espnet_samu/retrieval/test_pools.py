"""Tests of espnet_samu.retrieval.pools."""

import numpy as np
import pytest

from espnet_samu.retrieval.pools import pair_speech_speech, pair_speech_text
from espnet_samu.retrieval.scores import score_retrieval

UTTS = ["es1", "es2", "es3", "it1", "it2"]
LANGS = {utt: utt[:2] for utt in UTTS}
WORDS = dict(zip(UTTS, ["uno", "dos", "uno", "uno", "due"]))
ENGLISH = dict(zip(UTTS, ["one", "two", "one", "one", "two"]))
ONE, TWO = np.array([1.0, 0.0]), np.array([0.0, 1.0])
SPEECH = dict(zip(UTTS, [ONE + 0.1, TWO + 0.1, ONE, ONE + 0.2, TWO + 0.2]))
TEXT = {utt: {"one": ONE, "two": TWO}[word] for utt, word in ENGLISH.items()}


def describe(pairs):
    return [
        (p.kind, p.lang, len(p.vectors), p.contents.tolist())
        for pair in pairs
        for p in pair
    ]


def test_each_language_with_itself():
    pairs = pair_speech_text(SPEECH, {**TEXT, "other": ONE}, LANGS, WORDS)
    assert describe(pairs) == [
        ("speech", "es", 3, [0, 1, 0]),
        ("text", "es", 2, [0, 1]),
        ("speech", "it", 2, [0, 2]),  # "uno" again, but another pool
        ("text", "it", 2, [0, 2]),
    ]
    # equal embeddings stand for equal texts
    assert describe(pair_speech_text(SPEECH, TEXT, LANGS)) == [
        ("speech", "es", 3, [0, 1, 0]),
        ("text", "es", 2, [0, 1]),
        ("speech", "it", 2, [0, 1]),
        ("text", "it", 2, [0, 1]),
    ]
    assert describe(pair_speech_text(SPEECH, TEXT))[1] == ("text", "all", 2, [0, 1])


def test_spellings_of_a_code_are_one_pool():
    langs = {**LANGS, "es2": "ES", "it1": "it_XX"}
    expected = describe(pair_speech_text(SPEECH, TEXT, LANGS, WORDS))
    assert describe(pair_speech_text(SPEECH, TEXT, langs, WORDS)) == expected
    (pair,) = pair_speech_speech(SPEECH, langs, ENGLISH)
    assert [pool.lang for pool in pair] == ["es", "it"]


def test_texts_of_another_language():
    english = dict.fromkeys(UTTS, "en")
    pairs = pair_speech_text(SPEECH, TEXT, LANGS, ENGLISH, text2lang=english)
    assert describe(pairs) == [
        ("speech", "es", 3, [0, 1, 0]),
        ("text", "en", 2, [0, 1]),
        ("speech", "it", 2, [0, 1]),
        ("text", "en", 2, [0, 1]),
    ]
    scores = score_retrieval(pairs).scores
    assert [(s.lang, s.target_lang, s.r1) for s in scores] == [
        ("es", "en", 1.0),
        ("en", "es", 1.0),
        ("it", "en", 1.0),
        ("en", "it", 1.0),
    ]


def test_texts_of_other_utterances():
    text = {"a": ONE, "b": TWO, "c": ONE + TWO}
    words = {"a": "one", "b": "three", "c": "four"}
    pairs = pair_speech_text(SPEECH, text, LANGS, words, ENGLISH)
    assert describe(pairs)[:2] == [
        ("speech", "es", 3, [0, 1, 0]),
        ("text", "all", 3, [0, 2, 3]),
    ]
    scores = score_retrieval(pairs).scores
    # "two" is not among the texts
    assert [(s.queries, s.dropped, s.pool) for s in scores[:2]] == [
        (2, 1, 3),
        (1, 2, 3),
    ]
    langs = {"a": "en", "b": "en", "c": "sv"}
    pairs = pair_speech_text(SPEECH, text, LANGS, words, ENGLISH, langs)
    assert [(a.lang, b.lang) for a, b in pairs] == [
        ("es", "en"),
        ("es", "sv"),
        ("it", "en"),
        ("it", "sv"),
    ]
    result = score_retrieval(pairs)
    assert [p["target_lang"] for p in result.without_match] == ["sv", "es", "sv", "it"]


def test_speech_of_every_two_languages():
    langs = {**LANGS, "es3": "fr"}
    pairs = pair_speech_speech(SPEECH, langs, ENGLISH)
    assert [(a.lang, b.lang) for a, b in pairs] == [
        ("es", "fr"),
        ("es", "it"),
        ("fr", "it"),
    ]
    assert describe(pairs)[:2] == [
        ("speech", "es", 2, [0, 1]),
        ("speech", "fr", 1, [0]),
    ]
    assert pair_speech_speech(SPEECH, dict.fromkeys(UTTS, "es"), ENGLISH) == []


def test_refused():
    some = {"es1": ONE}
    with pytest.raises(ValueError, match=r"target misses 4 of 5 query .*: es2 es3"):
        pair_speech_text(SPEECH, some)
    with pytest.raises(ValueError, match=r"query_lang misses 4 of 5 query"):
        pair_speech_text(SPEECH, TEXT, {"es1": "es"})
    with pytest.raises(ValueError, match=r"query_text misses 4 of 5 query"):
        pair_speech_text(SPEECH, some, LANGS, {"es1": "x"}, {"es1": "x"})
    with pytest.raises(ValueError, match=r"target_text misses 1 of 1 target .*: es1"):
        pair_speech_text(SPEECH, some, LANGS, {"es2": "x"}, ENGLISH)
    with pytest.raises(ValueError, match="query_text needs target_text"):
        pair_speech_text(SPEECH, TEXT, LANGS, query_texts=ENGLISH)
    with pytest.raises(ValueError, match=r"content misses 4 of 5 query"):
        pair_speech_speech(SPEECH, LANGS, {"es1": "x"})
    with pytest.raises(ValueError, match=r"^target must be finite .* 'it1' has length"):
        pair_speech_text(SPEECH, {**TEXT, "it1": ONE * 0}, LANGS, WORDS)
    with pytest.raises(ValueError, match=r"^query must be finite .* 'it2' has length"):
        pair_speech_text({**SPEECH, "it2": ONE + np.inf}, TEXT, LANGS)
