"""The claim and what the study says to it."""

from espnet_samu.study.numbers import format_interval
from espnet_samu.study.outcome import HOLDS, NOT_TESTED, Outcome
from espnet_samu.study.resampling import ZERO_SHOT
from espnet_samu.study.study_results import StudyResults

_SAYS = {HOLDS: "yes", "refuted": "no", NOT_TESTED: "not tested"}


def _figure(outcome: Outcome, scope: str) -> str:
    """Return a difference in words."""
    difference = outcome.find(scope)
    if difference is None:
        return f"{outcome.comparison.title}: no finished run of one of them"
    interval = format_interval(difference.interval, 1, "+")
    return f"{outcome.comparison.title} is {difference.value:+.1f} BLEU {interval}"


def list_shortfalls(results: StudyResults) -> list[str]:
    """Say which registered comparisons do not hold, and for which languages."""
    lines = []
    for outcome in results.outcomes:
        short = outcome.shortfalls()
        if ZERO_SHOT in short and not any(map(outcome.find, short)):
            lines.append(
                f"{outcome.comparison.name} ({outcome.comparison.shows}) is not "
                f"tested: {_figure(outcome, ZERO_SHOT)}."
            )
            continue
        for scope, verdict in short.items():
            where = "the mean of " + " and ".join(outcome.languages)
            lines.append(
                f"{outcome.comparison.name} ({outcome.comparison.shows}) does not "
                f"hold for {where if scope == ZERO_SHOT else scope}: {verdict}; "
                f"{_figure(outcome, scope)}."
            )
    return lines


def state_claim(results: StudyResults) -> str:
    """Return the claim in a sentence."""
    supervised, zero_shot = (
        " and ".join(langs)
        for langs in (results.options.supervised, results.options.zero_shot)
    )
    return (
        "Claim: distillation on transcribed speech of all languages carries speech "
        f"translation, learned from {supervised} alone, over to {zero_shot}."
    )


def state_answer(results: StudyResults) -> str:
    """Return the answer in a sentence."""
    parts = [
        f"{one.comparison.name} ({one.comparison.shows}) "
        f"{_SAYS.get(one.verdict(), one.verdict())}"
        + ("" if one.mean is None else f": {_figure(one, ZERO_SHOT)}")
        for one in results.outcomes
    ]
    return (
        f"Answer, on zero-shot BLEU with 95 % intervals: {'; '.join(parts)}."
        if parts
        else "Answer: no comparison was registered."
    )
