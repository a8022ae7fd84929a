"""Language codes of corpora and models: which are one language, and how it is written.

Everything that compares languages asks here: ``zh-CN``, ``zh_CN``, ``zho_Hans`` and
``cmn`` are one language, and so are ``FR``, ``fr`` and ``fra``.
"""

import difflib
import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

# NLLB's code of each language that has two letters in ISO 639-1: its three letters are
# the key by which languages are compared here, its script is the usual one. "ns" is
# M2M-100's name of nso, br and fy are not NLLB's.
_NLLB = dict(pair.split("=") for pair in """
    af=afr_Latn ak=aka_Latn am=amh_Ethi ar=arb_Arab as=asm_Beng ay=ayr_Latn az=azj_Latn
    ba=bak_Cyrl be=bel_Cyrl bg=bul_Cyrl bm=bam_Latn bn=ben_Beng bo=bod_Tibt br=bre_Latn
    bs=bos_Latn ca=cat_Latn cs=ces_Latn cy=cym_Latn da=dan_Latn de=deu_Latn dz=dzo_Tibt
    ee=ewe_Latn el=ell_Grek en=eng_Latn eo=epo_Latn es=spa_Latn et=est_Latn eu=eus_Latn
    fa=pes_Arab ff=fuv_Latn fi=fin_Latn fj=fij_Latn fo=fao_Latn fr=fra_Latn fy=fry_Latn
    ga=gle_Latn gd=gla_Latn gl=glg_Latn gn=grn_Latn gu=guj_Gujr ha=hau_Latn he=heb_Hebr
    hi=hin_Deva hr=hrv_Latn ht=hat_Latn hu=hun_Latn hy=hye_Armn id=ind_Latn ig=ibo_Latn
    is=isl_Latn it=ita_Latn ja=jpn_Jpan jv=jav_Latn ka=kat_Geor kg=kon_Latn ki=kik_Latn
    kk=kaz_Cyrl km=khm_Khmr kn=kan_Knda ko=kor_Hang ks=kas_Arab ku=kmr_Latn ky=kir_Cyrl
    lb=ltz_Latn lg=lug_Latn li=lim_Latn ln=lin_Latn lo=lao_Laoo lt=lit_Latn lv=lvs_Latn
    mg=plt_Latn mi=mri_Latn mk=mkd_Cyrl ml=mal_Mlym mn=khk_Cyrl mr=mar_Deva ms=zsm_Latn
    mt=mlt_Latn my=mya_Mymr ne=npi_Deva nl=nld_Latn nn=nno_Latn no=nob_Latn ns=nso_Latn
    ny=nya_Latn oc=oci_Latn om=gaz_Latn or=ory_Orya pa=pan_Guru pl=pol_Latn ps=pbt_Arab
    pt=por_Latn qu=quy_Latn rn=run_Latn ro=ron_Latn ru=rus_Cyrl rw=kin_Latn sa=san_Deva
    sc=srd_Latn sd=snd_Arab sg=sag_Latn si=sin_Sinh sk=slk_Latn sl=slv_Latn sm=smo_Latn
    sn=sna_Latn so=som_Latn sq=als_Latn sr=srp_Cyrl ss=ssw_Latn st=sot_Latn su=sun_Latn
    sv=swe_Latn sw=swh_Latn ta=tam_Taml te=tel_Telu tg=tgk_Cyrl th=tha_Thai ti=tir_Ethi
    tk=tuk_Latn tl=tgl_Latn tn=tsn_Latn tr=tur_Latn ts=tso_Latn tt=tat_Cyrl ug=uig_Arab
    uk=ukr_Cyrl ur=urd_Arab uz=uzn_Latn vi=vie_Latn wo=wol_Latn xh=xho_Latn yi=ydd_Hebr
    yo=yor_Latn zh=zho_Hans zu=zul_Latn
    """.split())
# Other names of them: ISO 639-3's for groups of languages, and older ones.
_SYNONYMS = dict(pair.split("=") for pair in """
    ara=ar aym=ay aze=az chi=zh cmn=zh ekk=et fas=fa fil=tl ful=ff in=id iw=he ji=yi
    jw=jv kur=ku lav=lv mlg=mg mo=ro mon=mn msa=ms nb=no nep=ne nor=no ori=or orm=om
    per=fa pus=ps que=qu sqi=sq swa=sw uzb=uz yid=yi zlm=ms
    """.split())
# Further languages, by their usual script.
_OTHERS = {
    "Avst": "ae",
    "Arab": "acm acq aeb ajp apc ars ary arz azb ckb glk mzn prs skr",
    "Beng": "bpy mni",
    "Cans": "cr iu oj",
    "Cyrl": "ab av bxr ce cu cv kbd kjh kv mdf mhr mrj myv os sah tyv udm",
    "Deva": "awa bh bho brx doi hne kok mag mai new pi",
    "Ethi": "tig",
    "Geor": "xmf",
    "Grek": "grc pnt",
    "Hans": "cjy gan hsn wuu",
    "Hant": "cdo hak lzh nan yue",
    "Latn": """aa ach an ast ban bem bi bug ceb ch cjk cnh co crh dga dik dsb dyu fon
        frp fur gsw gv hil ho hsb hz ia ie ik ilo io kab kac kam kbp kea kj kl kmb kr
        kw la lij lmo ltg lu lua luo lus mh min mos na nd nds ng nr nus nv pag pap quc
        rm scn sco se sh szl to tok tpi tum tw ty umb ve vec vo vot vro wa war yua
        za""",
    "Mymr": "shn",
    "Olck": "sat",
    "Syrc": "arc",
    "Tfng": "tzm zgh",
    "Thaa": "dv",
    "Yiii": "ii",
}
_USUAL_SCRIPT = {
    **dict(code.split("_") for code in _NLLB.values()),
    **{lang: script for script, langs in _OTHERS.items() for lang in langs.split()},
}
_KNOWN = frozenset((*_NLLB, *_SYNONYMS, *_USUAL_SCRIPT))
# Regions that write another script than the usual one.
_SCRIPT_OF_REGION = {
    **{("zho", region): "Hant" for region in ("tw", "hk", "mo")},
    **{("azj", region): "Arab" for region in ("ir", "iq")},
    **{("kaz", region): "Arab" for region in ("cn", "af", "ir")},
    **{("kmr", region): "Arab" for region in ("iq", "ir", "lb")},
    **{("khk", "cn"): "Mong", ("pan", "pk"): "Arab", ("snd", "in"): "Deva"},
    **{("srp", "me"): "Latn", ("uzn", "af"): "Arab", ("uig", "kz"): "Cyrl"},
}
# Scripts, by ISO 15924, that are several of Unicode's or have another name there.
_UNICODE_SCRIPTS = {
    "Jpan": ("Hani", "Hira", "Kana"),
    "Kore": ("Hang", "Hani"),
    **dict.fromkeys(("Hans", "Hant"), ("Hani",)),
}
# Written with blanks between words; a script that is in neither set is not known.
_SPACED = frozenset("""
    Adlm Arab Armn Beng Cans Cher Cyrl Deva Ethi Geor Grek Gujr Guru Hang Hebr Knda Kore
    Latn Mlym Mong Mtei Nkoo Olck Orya Sinh Syrc Taml Telu Tfng Thaa
    """.split())
_UNSPACED = frozenset("Hani Hans Hant Jpan Khmr Laoo Mymr Thai Tibt".split())
# Languages of CoVoST-2 that mBART-50 lacks: a code in its manner, and a neighbour of
# the same family (ca) or script (cy) to start from [ours].
_MISSING = {"cat": ("ca_ES", "es_XX"), "cym": ("cy_GB", "en_XX")}
# mBART's en_XX, M2M-100's __en__, NLLB's eng_Latn, SeamlessM4T's __cmn_Hant__.
_CODE = re.compile(
    r"[a-z]{2}_[A-Z]{2}|__[a-z]{2,3}(_[A-Z][a-z]{3})?__|[a-z]{3}_[A-Z][a-z]{3}"
)


# Scripts as POSIX names them in locales, and countries that are taken for languages.
_SCRIPTS = {"latin": "Latn", "cyrillic": "Cyrl", "arabic": "Arab", "devanagari": "Deva"}
_COUNTRIES = dict(pair.split("=") for pair in """
    cn=zh cz=cs dk=da gr=el jp=ja rs=sr ua=uk vn=vi
    """.split())


class LanguageCode(NamedTuple):
    """What a code says; "" where it is not known."""

    language: str
    """ISO 639-3 where it is known, else as it was given, in lower case."""
    script: str
    """ISO 15924, that of the code or the usual one of its region or language."""
    region: str
    """In lower case."""


@lru_cache(1024)  # asked for every line of a corpus
def parse_code(name: str) -> LanguageCode:
    """Return language, script and region of a code: equal ones are one language.

    Args:
        name: As in :func:`to_code`.
    """
    language, *others = name.strip().replace("-", "_").strip("_").lower().split("_")
    language = _SYNONYMS.get(language, language)
    language = _NLLB.get(language, language).partition("_")[0]
    script = "".join(part.title() for part in others if len(part) == 4)
    region = "".join(part for part in others if len(part) != 4 and part != "xx")
    script = script or _SCRIPT_OF_REGION.get((language, region), "")
    return LanguageCode(language, script or _USUAL_SCRIPT.get(language, ""), region)


@lru_cache(1024)
def iso_code(name: str) -> str:
    """Return a code as ISO 639 and BCP 47 write it, with a script or else a region.

    ``FR`` is ``fr``, ``zh_cn`` ``zh-CN``, ``sr_RS.UTF-8@latin`` ``sr-Latn``,
    ``cmn_hans_cn`` ``cmn-Hans``, ``es-419`` ``es`` and ``jp``, a country, ``ja``.

    Args:
        name: Code of a language.

    Returns:
        The code; "" where the language cannot be one.
    """
    language, *others = re.split("[-_@]", re.sub(r"\.[^@]*", "", name).lower())
    language = _COUNTRIES.get(language, language)
    if not re.fullmatch("[a-z]{2,3}", language):
        return ""
    if len(language) == 2 and language not in _KNOWN:
        return ""
    scripts = [p.title() for p in others if len(p) == 4 and p.isalpha()]
    scripts += [_SCRIPTS[part] for part in others if part in _SCRIPTS]
    regions = [part.upper() for part in others if re.fullmatch("(?!xx)[a-z]{2}", part)]
    return "-".join([language, *(scripts + regions)[:1]])


def common_names(counts: Mapping[str, int], where: str) -> dict[str, str]:
    """Return for every name of a language the most frequent name of the same code.

    Names of one language are logged as such.

    Args:
        counts: How often each name is used.
        where: What they are names in, for the log.
    """
    spellings: dict[LanguageCode, Counter[str]] = {}
    for name, count in sorted(counts.items()):
        spellings.setdefault(parse_code(name), Counter())[name] = count
    common: dict[str, str] = {}
    for names in spellings.values():
        ((first, _),) = names.most_common(1)
        common.update(dict.fromkeys(names, first))
        if len(names) > 1:
            listed = " ".join(names)
            logging.warning(f"{where}: {listed} are one language, called '{first}'")
    return common


def merge_spellings(where: str, *tables: Mapping[str, str]) -> list[dict[str, str]]:
    """Return languages of utterances with one name for each (`FR`, `fr`).

    Args:
        where: What the tables are, for the log.
        tables: Languages by utterance.
    """
    counts = Counter(lang for table in tables for lang in table.values())
    names = common_names(counts, where)
    return [{utt: names[lang] for utt, lang in table.items()} for table in tables]


def base_language(name: str) -> str:
    """Return a code without script and region, for HTML and the hub: zh-CN -> zh."""
    return re.split("[-_]", name.strip().strip("_"))[0].lower()


def is_spaced(name: str) -> bool | None:
    """Return whether a language has blanks between words; None where not known."""
    script = parse_code(name).script
    return True if script in _SPACED else False if script in _UNSPACED else None


def is_code(token: str) -> bool:
    """Return whether a token has the form of a language code, as ``en_XX`` has."""
    return _CODE.fullmatch(token) is not None


def to_code(lang: str, codes: Sequence[str]) -> str:
    """Return a model's code for a language in its usual script.

    Args:
        lang: ISO 639 code (``en``, ``eng``), with or without a region (``sv-SE``) or a
            script (``zh-Hant``, ``sr-Latn``), or a code of mBART, M2M-100 or NLLB.
            Upper and lower case, ``-`` and ``_`` are the same. Where no script is
            named, it is the usual one of the region (``zh-TW``: Hant) or language.
        codes: Of the model, e.g. those of its token list.

    Returns:
        One of ``codes``. ``XX`` in it stands for any region; another region must be
        the one named.

    Raises:
        ValueError: There is no such code, or there are codes for several scripts and
            the usual one is not known.
    """
    language, script, region = parse_code(lang)
    found = []
    for code in codes:
        code_language, code_script, code_region = parse_code(code)
        if (
            language == code_language
            and script in ("", code_script)
            and (region in ("", code_region) or not code_region)
        ):
            found.append((code_region != region, code_script, code))
    if not found:
        raise ValueError(_no_code(lang, language, codes))
    if not script and len({code_script for _, code_script, _ in found}) > 1:
        listed = ", ".join(code for _, _, code in found)
        raise ValueError(
            f"language '{lang}' has codes for several scripts in this model: name one "
            f"of {listed}"
        )
    return min(found, key=lambda candidate: candidate[0])[2]


def scripts_of(lang: str) -> tuple[str, ...]:
    """Return the scripts of a language, by Unicode names.

    Args:
        lang: As in :func:`to_code`.

    Returns:
        Codes of four letters, ``("Hani", "Hira", "Kana")`` for ``ja``; () for a
        language that is not known.
    """
    script = parse_code(lang).script
    return _UNICODE_SCRIPTS.get(script, (script,) if script else ())


def _no_code(lang: str, language: str, codes: Sequence[str]) -> str:
    """Return the error message for a language without a code."""
    message = f"language '{lang}' has no code among the {len(codes)} of this model"
    code, neighbour = _MISSING.get(language, ("", ""))
    if neighbour in codes:
        return (
            f"{message}: it was not trained on it. Add it to the vocabulary: "
            f"trim_vocab --add_languages {code}={neighbour} makes a token {code} that "
            f"starts near {neighbour}"
        )
    near = [code for code in codes if parse_code(code)[0] == language]
    if near:
        return f"{message}; of another script or region: {', '.join(near)}"
    names = [code.strip("_").partition("_")[0].lower() for code in codes]
    close = difflib.get_close_matches(lang.lower()[:2], names, n=5, cutoff=0.5)
    if close:
        listed = ", ".join(codes[names.index(name)] for name in dict.fromkeys(close))
        return f"{message}; near names: {listed}"
    return f"{message}: {', '.join(codes)}"
