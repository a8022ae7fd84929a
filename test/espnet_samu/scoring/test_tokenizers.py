import pytest

from espnet_samu.scoring import tokenizers
from espnet_samu.scoring.tokenizers import choose_tokenizer


@pytest.fixture
def installed(monkeypatch):
    """Names of modules that seem to be installed; the test may add some."""
    modules = set()
    monkeypatch.setattr(
        tokenizers.importlib.util, "find_spec", lambda name: name in modules or None
    )
    return modules


@pytest.mark.parametrize(
    "lang, name",
    [
        *[("en", "13a"), ("de_DE", "13a"), ("ta", "13a")],
        *[("zh-CN", "zh"), ("zho_Hans", "zh"), ("yue_hant_hk", "zh")],
        *[("chi", "zh"), ("wuu", "zh"), ("nan-tw", "zh"), ("lzh", "zh"), ("ZH", "zh")],
        *[("zh-Latn", "13a"), ("nan-Latn", "13a"), ("xx_Cyrl", "13a")],
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
    for lang in ("jv_Java", "shn", "bo"):
        with pytest.raises(ValueError, match=f"--tokenizer {lang}="):
            choose_tokenizer(lang)
    # Not known, so that there is no usual one
    for lang in ("xx", "x2x", "en2x"):
        with pytest.raises(ValueError, match=f"not known: --tokenizer {lang}=13a"):
            choose_tokenizer(lang, {"th": "char"})
    assert choose_tokenizer("xx-YY", {"xx": "13a"}) == "13a"
    assert choose_tokenizer("zh-TW", {"zh": "char", "zh-TW": "intl"}) == "intl"
    with pytest.raises(ValueError, match="tokenizer must be one of .*13a.*: 'words'"):
        choose_tokenizer("de", {"de": "words"})
