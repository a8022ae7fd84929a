"""Corpus-level translation scores of lists of strings."""

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence

from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.metrics.base import Metric

from espnet_samu.scoring.tokenizers import UNSPACED, choose_tokenizer, written_language


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
# Target languages whose characters TER takes for words, as sacreBLEU supports it
BY_CHARACTER = ("zh", "ja")


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

    def make_metrics(self, refs: Sequence[str], tgt_lang: str) -> dict[str, Metric]:
        """Return sacreBLEU's metrics for one translation direction, by field name.

        All are cased and with punctuation. chrF and BLEU are sacreBLEU's defaults;
        TER differs from its defaults by the case, and for Chinese and Japanese by
        taking characters for words.

        Args:
            refs: N references.
            tgt_lang: Target language; it chooses BLEU's tokenizer.

        Raises:
            ValueError: For TER of another language that is written without blanks,
                and as `choose_tokenizer`.
        """
        lang = written_language(tgt_lang)
        metrics: dict[str, Metric] = {}
        for name in self.metrics:
            if name == "bleu":
                tokenizer = choose_tokenizer(tgt_lang, self.tokenizers)
                metrics[name] = BLEU(tokenize=tokenizer, references=[list(refs)])
            elif name == "chrf":
                metrics[name] = CHRF(references=[list(refs)])
            else:
                if lang in UNSPACED:
                    raise ValueError(
                        "metrics cannot have 'ter' for target language "
                        f"'{tgt_lang}', which is written without blanks: "
                        f"{self.metrics}"
                    )
                metrics[name] = TER(
                    normalized=lang in BY_CHARACTER,
                    asian_support=lang in BY_CHARACTER,
                    case_sensitive=True,
                    references=[list(refs)],
                )
        return metrics


def words(text: str) -> list[str]:
    """Return lower-cased words without punctuation, hyphens split."""
    return re.findall(r"\w+(?:['’]\w+)*", text.casefold())


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
    vocabulary = {word for slot in slot_words for word in words(slot)}
    matched = total = 0
    for hyp, ref in zip(hyps, refs, strict=True):
        wanted = [word for word in words(ref) if word in vocabulary]
        given = [word for word in words(hyp) if word in vocabulary]
        matched += longest_common_subsequence(wanted, given)
        total += len(wanted)
    if not total:
        return None
    signature = f"nrefs:1|case:lc|punct:no|match:lcs|slotwords:{len(vocabulary)}"
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
    for field, metric in settings.make_metrics(refs, tgt_lang).items():
        result = metric.corpus_score(list(hyps), None)
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
