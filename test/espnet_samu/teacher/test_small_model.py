"""Tests of espnet_samu.teacher.small_model."""

import itertools

import pytest

from espnet_samu.teacher.small_model import Pair, distinct_batches, read_bitext

HEADER = "lang\ttext\tenglish\n"


def test_read_bitext_keeps_quotes_and_drops_repeats(tmp_path):
    path = tmp_path / "bitext.tsv"
    lines = ['es\t"uno" dos\tone\n', "it\tl'uno\tone\n"]
    path.write_text(HEADER + "".join(lines) + lines[0], encoding="utf-8")
    assert read_bitext(path) == [
        Pair("es", '"uno" dos', "one"),
        Pair("it", "l'uno", "one"),
    ]


@pytest.mark.parametrize(
    "content, message",
    [
        ("lang\tenglish\n", r"bitext.tsv:1: header must be"),
        (HEADER + "es\tuno\n", r"bitext.tsv:2: need 3 non-empty columns"),
        (HEADER + "es\t\tone\n", r"bitext.tsv:2: need 3 non-empty columns"),
        (HEADER, r"no sentence pair"),
    ],
)
def test_read_bitext_refuses(tmp_path, content, message):
    path = tmp_path / "bitext.tsv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_bitext(path)


def test_batches_have_no_repeated_sentence():
    pairs = [Pair(lang, f"{lang}{n}", f"en{n}") for lang in "abc" for n in range(20)]
    pairs += [Pair("d", "same", f"en{n}") for n in range(20)]
    batches = list(itertools.islice(distinct_batches(pairs, 8, seed=3), 50))
    for batch in batches:
        assert len(batch) == 8
        assert len({pair.text for pair in batch}) == 8
        assert len({pair.english for pair in batch}) == 8
    drawn = {pair.text for batch in batches for pair in batch}
    assert drawn == {pair.text for pair in pairs}
    again = list(itertools.islice(distinct_batches(pairs, 8, seed=3), 50))
    assert again == batches
    assert next(distinct_batches(pairs, 8, seed=4)) != batches[0]


def test_batches_shrink_where_there_are_few_sentences():
    pairs = [Pair("a", f"a{n}", f"en{n % 3}") for n in range(9)]
    assert len(next(distinct_batches(pairs, 96, seed=0))) == 3
    with pytest.raises(ValueError, match="at least two pairs"):
        next(distinct_batches(pairs[:1], 96, seed=0))
