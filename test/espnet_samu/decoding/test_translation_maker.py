import pytest

from espnet_samu.decoding.hypothesis import Hypothesis, Translation
from espnet_samu.decoding.translation_maker import TranslationMaker

LIST = ["a", "b", "c"]
PARTS = [Hypothesis([0, 1], 3, -2.0), Hypothesis([], 1, -4.0), Hypothesis([2], 2, -1.0)]


def make(exponent=1.0, language=None):
    return TranslationMaker(LIST, "".join, exponent, language)


def test_one_piece():
    assert make()(PARTS[:1]) == Translation("ab", ["a", "b"], [0, 1], -2.0)
    assert make()(PARTS[1:2]) == Translation("", [], [], -4.0)


@pytest.mark.parametrize(
    "usual, said, text",
    [
        (None, None, "ab c"),
        ("de_DE", None, "ab c"),
        ("ja_XX", None, "abc"),
        ("ja_XX", "de", "ab c"),
        (None, "zh-CN", "abc"),
    ],
)
def test_pieces(usual, said, text):
    joined = make(language=usual)(PARTS, said)
    assert joined[:3] == (text, ["a", "b", "c"], [0, 1, 2])
    # means of 3, 1 and 2 tokens
    assert joined.score == pytest.approx((-2 * 3 - 4 - 1 * 2) / 6)


def test_sums():
    assert make(exponent=0.0)(PARTS).score == pytest.approx(-7.0)
