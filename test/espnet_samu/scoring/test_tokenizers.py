import pytest

from espnet_samu.scoring import tokenizers
from espnet_samu.scoring.tokenizers import base_language, choose_tokenizer


@pytest.fixture
def installed(monkeypatch):
    """Names of modules that seem to be installed; the test may add some."""
    modules = set()
    monkeypatch.setattr(
        tokenizers.importlib.util, "find_spec", lambda name: name in modules or None
    )
    return modules


def test_base_language():
    codes = ("zh-CN", "en_XX", "cy", "__de__", "cmn_hans_cn")
    assert [*map(base_language, codes)] == ["zh", "en", "cy", "de", "cmn"]


@pytest.mark.parametrize(
    "lang, name",
    [
        *[("en", "13a"), ("de_DE", "13a"), ("ta", "13a")],
        *[("zh-CN", "zh"), ("zho_Hans", "zh"), ("yue_hant_hk", "zh")],
    ],
)
def test_by_language(lang, name):
    assert choose_tokenizer(lang, {"ja": "char"}) == name


def test_mecab_is_asked_for(installed):
    for lang, package in (("ja_XX", "sacrebleu[ja]"), ("ko", "sacrebleu[ko]")):
        with pytest.raises(ImportError) as e:
            choose_tokenizer(lang)
        assert f"pip install '{package}'" in str(e.value)
    assert "--ja_tokenizer char" in str(pytest.raises(ImportError, _japanese).value)
    assert choose_tokenizer("ja", {"ja": "char"}) == "char"
    installed.update(("MeCab", "ipadic"))
    assert choose_tokenizer("ja-JP") == "ja-mecab"


def _japanese():
    choose_tokenizer("ja")


def test_no_choice():
    with pytest.raises(ValueError, match="'th_TH', which is written without blanks"):
        choose_tokenizer("th_TH")
    assert choose_tokenizer("th_TH", {"tha_Thai": "char"}) == "char"
    with pytest.raises(ValueError, match="tokenizer must be one of .*13a.*: 'words'"):
        choose_tokenizer("de", {"de": "words"})
