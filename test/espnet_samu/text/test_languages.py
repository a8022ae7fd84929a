"""Tests of espnet_samu.text.languages."""

import pytest

from espnet_samu.text.languages import TargetLanguages, find_tgt_langs

TOKENS = ["<s>", "de", "▁de", "en_XX", "de_DE", "zh_CN", "<mask>"]


def test_rows():
    languages = TargetLanguages(TOKENS)
    assert languages.codes == ["en_XX", "de_DE", "zh_CN"]
    # never the word "de", which is a token too
    names = ["de", "de_DE", "deu_Latn", "__de__", "zh-CN", "zh", "EN"]
    rows = languages.ids(names)
    assert rows == [4, 4, 4, 4, 5, 5, 3]
    assert languages.ids(["DE", "de-DE", "zh_CN", "ZH-cn"]) == [4, 4, 5, 5]
    # once more, from what was found
    assert languages.ids(names) == rows
    assert languages.ids([]) == []


@pytest.mark.parametrize("code", ["__de__", "deu_Latn"])
def test_codes_of_other_models(code):
    assert TargetLanguages(["a", "b", code]).ids(["de", "de_DE", code]) == ([2, 2, 2])


def test_refused():
    languages = TargetLanguages(TOKENS)
    with pytest.raises(ValueError, match="target language 'fr' .*en_XX, de_DE, zh_CN$"):
        languages.id("fr")
    with pytest.raises(
        ValueError, match="'zh-TW' .*script or region: zh_CN. The token list"
    ):
        languages.id("zh-TW")
    # how to mend it comes from the table of names
    with pytest.raises(ValueError, match="'cy' .*--add_languages cy_GB=en_XX"):
        languages.id("cy")
    with pytest.raises(ValueError, match="'de': the token list has no language codes"):
        TargetLanguages(["de", "▁de"]).id("de")


def test_beside_the_waveforms(tmp_path):
    assert find_tgt_langs(tmp_path / "wav.scp") is None
    file = tmp_path / "utt2tgt_lang"
    file.write_text("a de\nb zh-CN\n")
    assert find_tgt_langs(f"{tmp_path}/wav.scp") == {"a": "de", "b": "zh-CN"}
    file.write_text("a de\nb\n")
    with pytest.raises(ValueError, match="utt2tgt_lang:2: id 'b' has no value"):
        find_tgt_langs(tmp_path / "wav.scp")
