"""Language codes of models, and the names that corpora have for the same languages."""

import difflib
import re
from typing import Iterable, List, Sequence, Tuple

# In the order of the embedding's rows; the first 25 are those of mBART-25.
# Reference: Tang et al., arXiv 2008.00401.
MBART50_CODES: Tuple[str, ...] = tuple("""
    ar_AR cs_CZ de_DE en_XX es_XX et_EE fi_FI fr_XX gu_IN hi_IN it_IT ja_XX kk_KZ
    ko_KR lt_LT lv_LV my_MM ne_NP nl_XX ro_RO ru_RU si_LK tr_TR vi_VN zh_CN af_ZA
    az_AZ bn_IN fa_IR he_IL hr_HR id_ID ka_GE km_KH mk_MK ml_IN mn_MN mr_IN pl_PL
    ps_AF pt_XX sv_SE sw_KE ta_IN te_IN th_TH tl_XX uk_UA ur_PK xh_ZA gl_ES sl_SI
    """.split())
MBART25_CODES = MBART50_CODES[:25]

# Codes of NLLB and FLORES-200 for the languages of CoVoST-2 and Europarl-ST.
_NLLB = {
    "arb_arab": "ar",
    "cat_latn": "ca",
    "cym_latn": "cy",
    "deu_latn": "de",
    "eng_latn": "en",
    "est_latn": "et",
    "fra_latn": "fr",
    "ind_latn": "id",
    "ita_latn": "it",
    "jpn_jpan": "ja",
    "khk_cyrl": "mn",
    "lvs_latn": "lv",
    "nld_latn": "nl",
    "pes_arab": "fa",
    "pol_latn": "pl",
    "por_latn": "pt",
    "ron_latn": "ro",
    "rus_cyrl": "ru",
    "slv_latn": "sl",
    "spa_latn": "es",
    "swe_latn": "sv",
    "tam_taml": "ta",
    "tur_latn": "tr",
    "zho_hans": "zh",
}
# Languages of CoVoST-2 that mBART-50 lacks: a code in its manner, and a neighbour of
# the same family (ca) or script (cy) to start from [ours].
_MISSING = {"ca": ("ca_ES", "es_XX"), "cy": ("cy_GB", "en_XX")}
# mBART's en_XX, M2M-100's __en__, NLLB's eng_Latn.
_CODE = re.compile(r"[a-z]{2}_[A-Z]{2}|__[a-z]{2,3}__|[a-z]{3}_[A-Z][a-z]{3}")


def is_code(token: str) -> bool:
    """Whether a token has the form of a language code, as ``en_XX`` has."""
    return _CODE.fullmatch(token) is not None


def codes_of(token_list: Iterable[str]) -> List[str]:
    """Language codes in a token list, those that were added among them."""
    return [token for token in token_list if is_code(token)]


def to_mbart(lang: str) -> str:
    """mBART-50's code of a language; see :func:`to_code`."""
    return to_code(lang, MBART50_CODES)


def to_code(lang: str, codes: Sequence[str]) -> str:
    """Code that a model has for a language.

    Args:
        lang: ISO 639-1 code (``en``) as in Europarl-ST, one with a region as in
            CoVoST-2 (``sv-SE``, ``zh-CN``), or a code of mBART, M2M-100 or NLLB.
            Upper and lower case, ``-`` and ``_`` are the same.
        codes: Of the model, e.g. those of its token list.

    Returns:
        One of ``codes``. ``XX`` in it stands for any region; another region must be
        the one named, so that ``zh-TW`` is not taken for simplified characters.

    Raises:
        ValueError: There is no such code.
    """
    language, region = _parts(lang)
    for code in codes:
        code_language, code_region = _parts(code)
        if language == code_language and region in ("", code_region):
            return code
        if language == code_language and code_region in ("", "xx"):
            return code
    raise ValueError(_no_code(lang, language, codes))


def _parts(name: str) -> Tuple[str, str]:
    """Language and region of a code of any kind, in small letters."""
    name = name.strip().replace("-", "_").strip("_").lower()
    language, _, region = _NLLB.get(name, name).partition("_")
    return language, region


def _no_code(lang: str, language: str, codes: Sequence[str]) -> str:
    """What to say about a language without a code."""
    message = f"language '{lang}' has no code among the {len(codes)} of this model"
    code, neighbour = _MISSING.get(language, ("", ""))
    if neighbour in codes:
        return (
            f"{message}: it was not trained on it. Add it to the vocabulary: "
            f"trim_vocab --add_languages {code}={neighbour} makes a token {code} that "
            f"starts as a copy of {neighbour}"
        )
    names = [_parts(code)[0] for code in codes]
    near = [language] if language in names else []
    near = near or difflib.get_close_matches(language[:2], names, n=5, cutoff=0.5)
    if near:
        listed = ", ".join(codes[names.index(name)] for name in dict.fromkeys(near))
        return f"{message}; near names: {listed}"
    return f"{message}: {', '.join(codes)}"
