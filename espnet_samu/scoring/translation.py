"""Corpus-level scores of translations: lists of strings in, scores out."""

from collections.abc import Sequence

from espnet_samu.scoring.metric_settings import MetricSettings
from espnet_samu.scoring.score import Score
from espnet_samu.scoring.slot_accuracy import slot_accuracy


def exact_match(hyps: Sequence[str], refs: Sequence[str]) -> Score:
    """Compute the share of hypotheses equal to their reference, blanks collapsed.

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
    """Compute all scores of one translation direction.

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
