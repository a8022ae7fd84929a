"""Tests of espnet_samu.utils.language_codes."""

import pytest
from transformers.models.m2m_100 import tokenization_m2m_100
from transformers.models.mbart50 import tokenization_mbart50
from transformers.models.nllb import tokenization_nllb

from espnet_samu.text.languages import MBART25_CODES, MBART50_CODES, TargetLanguages
from espnet_samu.utils.language_codes import (
    base_language,
    is_spaced,
    iso_code,
    parse_code,
    scripts_of,
    to_code,
)

from ...egs2.tiny_models import SEAMLESS_CODES

COVOST = """
    ar=ar_AR de=de_DE en=en_XX es=es_XX et=et_EE fa=fa_IR fr=fr_XX id=id_ID it=it_IT
    ja=ja_XX lv=lv_LV mn=mn_MN nl=nl_XX pt=pt_XX ru=ru_RU sl=sl_SI sv-SE=sv_SE
    ta=ta_IN tr=tr_TR zh-CN=zh_CN
"""
EUROPARL = """
    de=de_DE en=en_XX es=es_XX fr=fr_XX it=it_IT nl=nl_XX pl=pl_PL pt=pt_XX ro=ro_RO
"""
NLLB = """
    arb_Arab=ar_AR deu_Latn=de_DE eng_Latn=en_XX est_Latn=et_EE fra_Latn=fr_XX
    ind_Latn=id_ID ita_Latn=it_IT jpn_Jpan=ja_XX khk_Cyrl=mn_MN lvs_Latn=lv_LV
    nld_Latn=nl_XX pes_Arab=fa_IR pol_Latn=pl_PL por_Latn=pt_XX ron_Latn=ro_RO
    rus_Cyrl=ru_RU slv_Latn=sl_SI spa_Latn=es_XX swe_Latn=sv_SE tam_Taml=ta_IN
    tur_Latn=tr_TR zho_Hans=zh_CN
"""


def test_codes_are_those_of_transformers():
    assert list(MBART50_CODES) == tokenization_mbart50.FAIRSEQ_LANGUAGE_CODES
    assert MBART25_CODES[-1] == "zh_CN"
    assert all(to_code(code, MBART50_CODES) == code for code in MBART50_CODES)


@pytest.mark.parametrize("pair", (COVOST + EUROPARL + NLLB).split())
def test_names_of_corpora(pair):
    name, code = pair.split("=")
    assert to_code(name, MBART50_CODES) == code


@pytest.mark.parametrize(
    "name, code",
    [("EN", "en_XX"), ("en_xx", "en_XX"), ("pt-BR", "pt_XX"), (" zh_cn ", "zh_CN")],
)
def test_spelling(name, code):
    assert to_code(name, MBART50_CODES) == code


@pytest.mark.parametrize(
    "name, expected",
    [
        ("zh-TW", "of another script or region: zh_CN"),
        ("zho_Hant", "of another script or region: zh_CN"),
        ("ar-EG", "of another script or region: ar_AR"),
        ("kk-CN", "of another script or region: kk_KZ"),
        ("enn", "near names: en_XX, "),
        ("xa", "near names: .*ka_GE"),
        ("??", "ar_AR, cs_CZ, .*, sl_SI"),
        ("ca", "trim_vocab --add_languages ca_ES=es_XX"),
        ("cym_Latn", "trim_vocab --add_languages cy_GB=en_XX"),
    ],
)
def test_unknown(name, expected):
    with pytest.raises(ValueError, match=f"language '.*' has no code.*{expected}"):
        to_code(name, MBART50_CODES)


def test_added_languages():
    tokens = ["<s>", "▁a_B", "en_XX", "EN_xx", "ca_ES", "en_XXL"]
    codes = TargetLanguages(tokens).codes
    assert codes == ["en_XX", "ca_ES"]
    assert to_code("ca", codes) == "ca_ES"
    assert to_code("cat_Latn", codes) == "ca_ES"


@pytest.mark.parametrize(
    "name, m2m100, nllb",
    [
        ("en", "__en__", "eng_Latn"),
        ("zh-CN", "__zh__", "zho_Hans"),
        ("zh", "__zh__", "zho_Hans"),
        ("sv-SE", "__sv__", "swe_Latn"),
        ("cy", "__cy__", "cym_Latn"),
        ("de_DE", "__de__", "deu_Latn"),
        ("__fr__", "__fr__", "fra_Latn"),
        ("por_Latn", "__pt__", "por_Latn"),
    ],
)
def test_names_in_other_models(name, m2m100, nllb):
    iso = tokenization_m2m_100.FAIRSEQ_LANGUAGE_CODES["m2m100"]
    codes = TargetLanguages([f"__{code}__" for code in iso]).codes
    assert len(codes) == 100
    assert to_code(name, codes) == m2m100
    codes = TargetLanguages(tokenization_nllb.FAIRSEQ_LANGUAGE_CODES).codes
    assert len(codes) == 202
    assert to_code(name, codes) == nllb


def test_three_letters():
    codes = TargetLanguages([f"__{code}__" for code in SEAMLESS_CODES]).codes
    assert len(codes) == len(SEAMLESS_CODES)
    for code in SEAMLESS_CODES:
        assert to_code(code, codes) == f"__{code}__"
        assert parse_code(f"__{code}__").script, code
    for name, expected in (
        ("fr", "fra"),
        ("zh-CN", "cmn"),
        ("zho_Hans", "cmn"),
        ("zh-TW", "cmn_Hant"),
        ("sv-SE", "swe"),
        ("ms", "zlm"),
        ("de_DE", "deu"),
        ("eng_Latn", "eng"),
    ):
        assert to_code(name, codes) == f"__{expected}__", name
    with pytest.raises(ValueError, match="'mn-Mong' has no code .* of another script"):
        to_code("mn-Mong", codes)
    with pytest.raises(ValueError, match="'xx' has no code among the "):
        to_code("xx", codes)


@pytest.mark.parametrize(
    "name, mbart, m2m100, nllb",
    [
        ("zh-Hans", "zh_CN", "__zh__", "zho_Hans"),
        ("zho", "zh_CN", "__zh__", "zho_Hans"),
        ("cmn-Hans-CN", "zh_CN", "__zh__", "zho_Hans"),
        ("zh-Hant", None, None, "zho_Hant"),
        ("zh_TW", None, None, "zho_Hant"),
        ("zh-HK", None, None, "zho_Hant"),
        ("yue", None, None, "yue_Hant"),
        ("sr", None, "__sr__", "srp_Cyrl"),
        ("sr-Cyrl", None, "__sr__", "srp_Cyrl"),
        ("sr-Latn", None, None, None),
        ("sr-ME", None, None, None),
        ("ku", None, None, "kmr_Latn"),
        ("kur", None, None, "kmr_Latn"),
        ("ku-Arab", None, None, None),
        ("ckb", None, None, "ckb_Arab"),
        ("az-IR", None, None, None),
        ("uz", None, "__uz__", "uzn_Latn"),
        ("uz-Cyrl", None, None, None),
        ("pa-PK", None, None, None),
        ("pa", None, "__pa__", "pan_Guru"),
        ("mn-Mong", None, None, None),
        ("mn", "mn_MN", "__mn__", "khk_Cyrl"),
        ("ks", None, None, "kas_Arab"),
        ("ks-Deva", None, None, "kas_Deva"),
        ("nb", None, "__no__", "nob_Latn"),
        ("fas", "fa_IR", "__fa__", "pes_Arab"),
        ("nso", None, "__ns__", "nso_Latn"),
        ("br-Latn", None, "__br__", None),
        ("ceb", None, "__ceb__", "ceb_Latn"),
    ],
)
def test_scripts(name, mbart, m2m100, nllb):
    iso = tokenization_m2m_100.FAIRSEQ_LANGUAGE_CODES["m2m100"]
    models = [
        (mbart, MBART50_CODES),
        (m2m100, [f"__{code}__" for code in iso]),
        (nllb, tokenization_nllb.FAIRSEQ_LANGUAGE_CODES),
    ]
    for expected, codes in models:
        if expected is None:
            with pytest.raises(ValueError, match=f"language '{name}' has no code"):
                to_code(name, codes)
        else:
            assert to_code(name, codes) == expected


def test_scripts_of_added_languages():
    codes = ["zh_CN", "zh_TW", "pt_XX", "pt_BR"]
    assert [to_code(name, codes) for name in ("zh", "zh-Hant", "zh_TW")] == (
        ["zh_CN", "zh_TW", "zh_TW"]
    )
    assert [to_code(name, codes) for name in ("pt", "pt-PT", "pt-BR", "por_Latn")] == (
        ["pt_XX", "pt_XX", "pt_BR", "pt_XX"]
    )


def test_language_of_several_scripts():
    codes = tokenization_nllb.FAIRSEQ_LANGUAGE_CODES
    with pytest.raises(ValueError, match="several scripts .* ace_Arab, ace_Latn"):
        to_code("ace", codes)
    assert to_code("ace-Latn", codes) == "ace_Latn"


def test_own_codes_find_themselves():
    iso = tokenization_m2m_100.FAIRSEQ_LANGUAGE_CODES["m2m100"]
    for codes in (
        MBART50_CODES,
        [f"__{code}__" for code in iso],
        tokenization_nllb.FAIRSEQ_LANGUAGE_CODES,
    ):
        assert [to_code(code, codes) for code in codes] == list(codes)


@pytest.mark.parametrize(
    "name, expected",
    [
        ("ja", ("Hani", "Hira", "Kana")),
        ("zh-TW", ("Hani",)),
        ("ko", ("Hang",)),
        ("sr-Latn", ("Latn",)),
        ("fa_IR", ("Arab",)),
        ("taq_Tfng", ("Tfng",)),
        ("__el__", ("Grek",)),
        ("multi", ()),
    ],
)
def test_scripts_of(name, expected):
    assert scripts_of(name) == expected


@pytest.mark.parametrize(
    "names",
    [
        *("FR fr fra __fr__ fr_XX fra_Latn".split(), "en EN en_XX eng".split()),
        *("zh zho chi cmn zho_Hans zh-Hans".split(), "zh-CN zh_cn ZH_CN".split()),
        *("sv-SE sv_SE swe_se".split(), "yue yue_Hant yue-hant".split()),
    ],
)
def test_one_language(names):
    assert len({parse_code(name) for name in names}) == 1


def test_other_languages():
    names = ("zh", "yue", "wuu", "zh-TW", "zh-Latn", "sr", "sr-Latn", "pt", "pt-BR")
    assert len({parse_code(name) for name in names}) == len(names)
    codes = ("zh-CN", "en_XX", "cy", "__de__", "cmn_hans_cn")
    assert [*map(base_language, codes)] == ["zh", "en", "cy", "de", "cmn"]


def test_blanks_between_words():
    unspaced = "zh ja th my km lo bo dz yue wuu nan-tw chi zho_Hant shn".split()
    assert [is_spaced(name) for name in unspaced] == [False] * len(unspaced)
    spaced = "en ko hi ta zh-Latn nan-Latn xx_Cyrl ceb am el he".split()
    assert [is_spaced(name) for name in spaced] == [True] * len(spaced)
    unknown = "xx multi x2x und zz_Java".split()
    assert [is_spaced(name) for name in unknown] == [None] * len(unknown)
    # Every code of these models is known.
    iso = tokenization_m2m_100.FAIRSEQ_LANGUAGE_CODES["m2m100"]
    nllb = tokenization_nllb.FAIRSEQ_LANGUAGE_CODES
    assert None not in map(is_spaced, (*MBART50_CODES, *iso, *nllb))


ISO_639_1 = """
    aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs
    cu cv cy da de dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha
    he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka kg ki kj kk kl km kn
    ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb
    nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd
    se sg si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw
    ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
"""


@pytest.mark.parametrize(
    "name, code",
    [
        *((code, code) for code in ISO_639_1.split()),
        *((code, code) for code in "nds wuu zh-CN sr-Latn cmn-Hans".split()),
        ("FR", "fr"),
        ("pt_br", "pt-BR"),
        ("en_XX", "en"),
        ("eng_Latn", "eng-Latn"),
        ("cmn_hans_cn", "cmn-Hans"),
        ("zh-Hant-TW", "zh-Hant"),
        ("sr@latin", "sr-Latn"),
        ("sr_RS.UTF-8@latin", "sr-Latn"),
        ("cs_CZ.UTF-8", "cs-CZ"),
        ("ca@valencia", "ca"),
        ("es-419", "es"),
        ("cz", "cs"),
        ("jp", "ja"),
        *((name, "") for name in ("xx", "Czech", "cs,en", "", "-", "C", "日本")),
    ],
)
def test_iso_code(name, code):
    assert iso_code(name) == code
