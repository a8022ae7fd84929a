"""Tests of espnet_samu.scoring.directions."""

import pytest

from espnet_samu.scoring.directions import (
    Direction,
    find_entry,
    parse_pair,
    parse_train_langs,
    split_directions,
)


def test_one_target():
    langs = {"b": "fr", "a": "es", "c": "es", "d": "de"}
    directions = split_directions("bac", langs, dict.fromkeys(langs, "en"))
    assert directions == {
        "es": Direction("es", "es", "en", ("a", "c")),
        "fr": Direction("fr", "fr", "en", ("b",)),
    }


def test_several_targets():
    langs = dict.fromkeys("abc", "en")
    targets = {"a": "zh-CN", "b": "de", "c": "zh-CN"}
    directions = split_directions("cba", langs, targets)
    assert [*directions] == ["en-de", "en-zh-CN"]
    assert directions["en-zh-CN"].utterances == ("c", "a")


def test_spellings_are_one_language(caplog):
    langs = {"a": "FR", "b": "fr", "c": "fr", "d": "zh-CN", "e": "zh_CN", "f": "zh-TW"}
    directions = split_directions("abcdef", langs, dict.fromkeys(langs, "en"))
    members = {name: "".join(one.utterances) for name, one in directions.items()}
    assert members == {"fr": "abc", "zh-CN": "de", "zh-TW": "f"}
    assert "source languages: FR fr are one language, called 'fr'" in caplog.text


@pytest.mark.parametrize(
    "name, pair",
    [
        *[("fr", ("fr", None)), ("zh-CN", ("zh-CN", None)), ("zh_CN", ("zh_CN", None))],
        *[("fr-en", ("fr", "en")), ("FR-EN", ("fr", "en"))],
        *[("sv-SE-en", ("sv-SE", "en")), ("en-zh-CN", ("en", "zh-CN"))],
        *[("en_XX-fr_XX", ("en_XX", "fr_XX")), ("__de__-__en__", ("__de__", "__en__"))],
        *[("nan-tw", ("nan-tw", None)), ("nan-tw:en", ("nan-tw", "en"))],
        *[("average", ("average", None)), ("sr-Latn-RS-en", ("sr-Latn-RS", "en"))],
    ],
)
def test_names(name, pair):
    assert parse_pair(name, ["nan-tw"]) == pair


def test_names_refused():
    for name in (":en", "fr:", "fr:en:de"):
        with pytest.raises(ValueError, match=f"need SOURCE:TARGET: '{name}'"):
            parse_pair(name)


TRAINED = ("zh_CN sv FR", "zh-TW,sv-SE,fra", "zho_Hans:en swe:eng fr-en")


@pytest.mark.parametrize("text", TRAINED)
def test_training_languages_are_found_by_any_code(text):
    tested = [Direction(x, x, "en") for x in ("zh-CN", "sv-SE", "fr", "de", "yue")]
    pairs = parse_train_langs(text, tested)
    found = [bool(find_entry(d.source, d.target, pairs, "")) for d in tested]
    assert found == [True, True, True, False, False]


def test_the_nearest_entry():
    table = {("fr", None): 1, ("fr", "en"): 2, ("pt-BR", None): 3, ("pt-PT", None): 4}
    table |= {("en", "zh-CN"): 5, ("en", "de"): 6, ("es_XX", None): 7}
    expected = {
        **{("fr", "en"): 2, ("fr", "en_XX"): 2, ("fr", "de"): 1, ("fr", None): 1},
        **{("pt-BR", "en"): 3, ("en", "zh"): 5, ("en", "zh-TW"): None},
        **{("en", None): None, ("en", "fr"): None, ("es", "en"): 7, ("it", "en"): None},
    }
    found = {pair: find_entry(*pair, table, "table") for pair in expected}
    assert found == expected
    with pytest.raises(ValueError, match="table: .* for pt to en: pt-BR, pt-PT?"):
        find_entry("pt", "en", table, "table")
