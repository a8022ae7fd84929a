"""Corpus-level translation scores of lists of strings."""

import dataclasses
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import regex
from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.metrics.base import Metric

from espnet_samu.scoring.tokenizers import choose_tokenizer, usual_tokenizer


@dataclasses.dataclass(frozen=True)
class Score:
    """Corpus-level score with its settings, like sacreBLEU's."""

    name: str
    """Name of the metric."""
    value: float
    """Shares are 0 to 1, BLEU and chrF 0 to 100."""
    signature: str
    """Settings in sacreBLEU's form, `key:value|key:value`."""


SACREBLEU_METRICS = ("bleu", "chrf", "ter")
# Tokenizers of the languages whose characters TER takes for words, as sacreBLEU
# supports it
BY_CHARACTER = ("zh", "ja-mecab")
# Those of languages with blanks between words
BY_WORD = ("13a", "ko-mecab")


@dataclasses.dataclass(frozen=True)
class MetricSettings:
    """Settings of the translation scores.

    Raises:
        ValueError: For an unknown metric, a repeated one, or none of BLEU.
    """

    metrics: tuple[str, ...] = ("bleu", "chrf")
    """Those of `SACREBLEU_METRICS` to compute."""
    tokenizers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """BLEU's tokenizer by target language, instead of the usual one."""
    slot_words: Collection[str] = ()
    """Words for the slot accuracy; none, no such score."""

    def __post_init__(self) -> None:
        unknown = [m for m in self.metrics if m not in SACREBLEU_METRICS]
        if unknown or len(set(self.metrics)) < len(self.metrics):
            raise ValueError(
                f"metrics must be different ones of {SACREBLEU_METRICS}: {self.metrics}"
            )
        if "bleu" not in self.metrics:
            raise ValueError(
                f"metrics must have 'bleu', which TRFGap is made of: {self.metrics}"
            )

    def make_metrics(self, tgt_lang: str) -> dict[str, Metric]:
        """Return sacreBLEU's metrics for one translation direction, by field name.

        All are cased and with punctuation. chrF and BLEU are sacreBLEU's defaults;
        TER differs from its defaults by the case, and for Chinese and Japanese by
        taking characters for words.

        Args:
            tgt_lang: Target language; it chooses BLEU's tokenizer.

        Raises:
            ValueError: For TER of another language that is written without blanks
                (or not known, and no tokenizer of words is chosen for it), and as
                `choose_tokenizer`.
        """
        usual = usual_tokenizer(tgt_lang)
        metrics: dict[str, Metric] = {}
        for name in self.metrics:
            if name == "bleu":
                tokenizer = choose_tokenizer(tgt_lang, self.tokenizers)
                metrics[name] = BLEU(tokenize=tokenizer)
            elif name == "chrf":
                metrics[name] = CHRF()
            else:
                chosen = choose_tokenizer(tgt_lang, self.tokenizers)
                if usual is None and chosen not in BY_WORD:
                    raise ValueError(
                        "metrics cannot have 'ter' for target language "
                        f"'{tgt_lang}', which is written without blanks: "
                        f"{self.metrics}"
                    )
                metrics[name] = TER(
                    normalized=usual in BY_CHARACTER,
                    asian_support=usual in BY_CHARACTER,
                    case_sensitive=True,
                )
        return metrics


SENTENCES = 512  # sentences whose n-grams are in memory at a time


def extract_statistics(
    metric: Metric, hyps: Sequence[str], refs: Sequence[str]
) -> np.ndarray:
    """Return what sacreBLEU sums over sentences: sufficient statistics of a score.

    Args:
        metric: One of `MetricSettings.make_metrics`.
        hyps: N hypotheses, at least one.
        refs: N references.

    Returns:
        Statistics (N, K): counts of n-grams or edits.
    """
    parts = []
    for start in range(0, len(refs), SENTENCES):
        part = slice(start, start + SENTENCES)
        parts += metric._extract_corpus_statistics([*hyps[part]], [[*refs[part]]])
    return np.array(parts, dtype=np.float64)


def compute_score(metric: Metric, statistics: np.ndarray) -> Any:
    """Return sacreBLEU's score of summed statistics (K,)."""
    return metric._compute_score_from_stats(statistics.tolist())


# Scripts without blanks between words
_UNSPACED = (
    r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"
)
_WORD = r"[\w\p{M}\u200c\u200d]"
_WORDS = regex.compile(rf"{_WORD}+(?:['’]{_WORD}+)*")


def words(text: str) -> list[str]:
    """Return lower-cased words without punctuation, hyphens split.

    Forms of Unicode (NFKC) make no difference.
    """
    return _WORDS.findall(unicodedata.normalize("NFKC", text).casefold())


class SlotWords:
    """Finder of words that count, in texts with and without blanks.

    Args:
        slot_words: Words that count, in any case.
    """

    def __init__(self, slot_words: Collection[str]) -> None:
        self.vocabulary = {word for slot in slot_words for word in words(slot)}
        # Beside a character that needs no blank any character may stand.
        patterns = [
            ("" if regex.match(rf"[{_UNSPACED}]", word) else rf"(?<![^\W{_UNSPACED}])")
            + regex.escape(word)
            + (
                ""
                if regex.search(rf"[{_UNSPACED}]\p{{M}}*$", word)
                else rf"(?![^\W{_UNSPACED}])"
            )
            for word in sorted(self.vocabulary, key=len, reverse=True)
        ]
        self._within = regex.compile("|".join(patterns)) if patterns else None
        self._unspaced = regex.compile(rf"[{_UNSPACED}]")

    def __len__(self) -> int:
        """Return the number of different words."""
        return len(self.vocabulary)

    def find(self, text: str) -> list[str]:
        """Return the words of a text that count, in order."""
        found = []
        for word in words(text):
            if word in self.vocabulary:
                found.append(word)
            elif self._within is not None and self._unspaced.search(word):
                found += self._within.findall(word)
        return found


def longest_common_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    """Return the length of the longest common subsequence."""
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
    """Return the share of the references' slot words in the hypotheses.

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
    slots = SlotWords(slot_words)
    matched = total = 0
    for hyp, ref in zip(hyps, refs, strict=True):
        wanted, given = slots.find(ref), slots.find(hyp)
        matched += longest_common_subsequence(wanted, given)
        total += len(wanted)
    if not total:
        return None
    signature = f"nrefs:1|case:lc|punct:no|match:lcs|slotwords:{len(slots)}"
    return Score("slot accuracy", matched / total, signature)


def exact_match(hyps: Sequence[str], refs: Sequence[str]) -> Score:
    """Return the share of hypotheses equal to their reference, whitespace collapsed.

    Args:
        hyps: N hypotheses.
        refs: N references, at least one.
    """
    same = sum(h.split() == r.split() for h, r in zip(hyps, refs, strict=True))
    signature = "nrefs:1|case:mixed|punct:yes|space:collapsed"
    return Score("exact match", same / len(refs), signature)


def score_translation(
    hyps: Sequence[str],
    refs: Sequence[str],
    tgt_lang: str = "en",
    settings: MetricSettings = MetricSettings(),
) -> dict[str, Score]:
    """Return all scores of one translation direction.

    BLEU, chrF and TER are sacreBLEU's to the last digit, and carry its signatures.

    Reference:
        Post, "A Call for Clarity in Reporting BLEU Scores", WMT 2018.
        Popović, "chrF: character n-gram F-score for automatic MT evaluation", 2015.
        Snover et al., "A Study of Translation Edit Rate", AMTA 2006.

    Args:
        hyps: N hypotheses; "" counts as an empty one.
        refs: N references.
        tgt_lang: Target language.
        settings: Which scores, and how.

    Returns:
        Scores by their field name: BLEU, chrF and TER (the less, the better) 0 to
        100, exact match and slot accuracy 0 to 1, and BLEU's tokens in the hypotheses
        / tokens in the references. Slot accuracy only where it is defined.

    Raises:
        ValueError: For numbers of hypotheses and references that differ, and none;
            as `MetricSettings.make_metrics`.
    """
    if not len(hyps) == len(refs) > 0:
        raise ValueError(
            f"need as many hypotheses as references, at least one: {len(hyps)} and "
            f"{len(refs)}"
        )
    scores: dict[str, Score] = {}
    for field, metric in settings.make_metrics(tgt_lang).items():
        statistics = extract_statistics(metric, hyps, refs)
        result = compute_score(metric, statistics.sum(axis=0))
        signature = str(metric.get_signature())
        scores[field] = Score(result.name, result.score, signature)
        if field == "bleu":
            ratio = float(result.ratio)
            scores["length_ratio"] = Score("length ratio", ratio, signature)
    scores["exact_match"] = exact_match(hyps, refs)
    slots = slot_accuracy(hyps, refs, settings.slot_words)
    if slots is not None:
        scores["slot_accuracy"] = slots
    return scores
