"""The claim and what the study says to it."""

from espnet_samu.study.numbers import format_interval
from espnet_samu.study.outcome import HOLDS, NOT_TESTED, Outcome
from espnet_samu.study.resampling import SUPERVISED, ZERO_SHOT
from espnet_samu.study.study_results import MAIN_SET, StudyResults

_SAYS = {HOLDS: "yes", "refuted": "no", NOT_TESTED: "not tested"}


def _figure(outcome: Outcome, scope: str) -> str:
    """Return a difference in words."""
    difference = outcome.find(scope)
    if difference is None:
        return f"{outcome.comparison.title}: no finished run of one of them"
    interval = format_interval(difference.interval, 1, "+")
    return f"{outcome.comparison.title} is {difference.value:+.1f} BLEU {interval}"


def state_missing(results: StudyResults) -> str | None:
    """Say which registered runs are missing or failed; None: none is."""
    missing = {
        arm.name: [seed for seed in arm.planned if seed not in arm.finished]
        for arm in results.arms
        if arm.primary
    }
    count = sum(len(seeds) for seeds in missing.values())
    if count == 0:
        return None
    planned = sum(len(arm.planned) for arm in results.arms if arm.primary)
    named = "; ".join(
        f"{name}: seed {' '.join(map(str, seeds))}"
        for name, seeds in missing.items()
        if seeds
    )
    return (
        f"Preliminary: {count} of the {planned} registered runs of the primary arms "
        f"are missing or failed ({named}). No verdict counts before they are there."
    )


def state_mixed(results: StudyResults) -> str | None:
    """Say which arms have runs of different settings; None: none has."""
    mixed = [
        f"{arm.name} ({', '.join(arm.hashes)})"
        for arm in results.arms
        if len(arm.hashes) > 1
    ]
    if not mixed:
        return None
    return (
        f"Runs of one arm were made with different settings: {'; '.join(mixed)}. No "
        "verdict on these arms counts; remove the runs that are not the plan's."
    )


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
    answer = "Preliminary answer" if state_missing(results) else "Answer"
    return (
        f"{answer}, on zero-shot BLEU with 95 % intervals: {'; '.join(parts)}."
        if parts
        else "Answer: no comparison was registered."
    )


def state_limits(results: StudyResults) -> list[str]:
    """Say what the answer costs, and where it ends: other test sets, and the floor."""
    lines = []
    compared = dict.fromkeys(
        name
        for outcome in results.outcomes
        for name in (outcome.comparison.arm, outcome.comparison.against)
    )
    if SUPERVISED in results.main.scopes:
        scores = [
            f"{name} {results.main.arms[name][SUPERVISED]['bleu'].value:.1f}"
            for name in compared
            if name in results.main.arms
        ]
        languages = " and ".join(results.options.supervised)
        lines.append(
            f"On {languages}, which have translations in training, BLEU is: "
            f"{', '.join(scores)}."
        )
    if results.main.floor is not None:
        least = results.main.floor[ZERO_SHOT]["bleu"].value
        distances = [
            f"{name} {results.main.arms[name][ZERO_SHOT]['bleu'].value - least:+.1f}"
            for name in compared
            if name in results.main.arms
        ]
        lines.append(
            f"The template floor (the right template, contents by chance) has "
            f"{least:.1f} zero-shot BLEU on {MAIN_SET}. From there it is: "
            f"{', '.join(distances)}. A gain over an arm below the floor is in part "
            "that arm's failure."
        )
    for outcome in results.outcomes:
        for scope in (ZERO_SHOT, *outcome.languages):
            found = outcome.find(scope)
            if found and outcome.verdict(scope) == HOLDS and found.percentile[0] <= 0:
                lines.append(
                    f"{outcome.comparison.name} holds for {scope} by the registered "
                    "interval alone: the plain percentiles are "
                    f"{format_interval(found.percentile, 1, '+')}."
                )
    if results.fresh:
        seeds = sorted(
            {
                seed
                for outcome in results.fresh
                if outcome.mean is not None
                for seed in (*outcome.mean.paired, *outcome.mean.unpaired)
            }
        )
        parts = [
            f"{outcome.comparison.name} {outcome.verdict()}, "
            f"{_figure(outcome, ZERO_SHOT)}"
            for outcome in results.fresh
            if outcome.mean is not None
        ]
        lines.append(
            "Some scores of seeds "
            f"{' and '.join(map(str, results.options.seen_seeds))} were known before "
            f"the registration. With seeds {', '.join(map(str, seeds))} alone: "
            f"{'; '.join(parts)}."
        )
    for name, scores_there in results.sets.items():
        floor = scores_there.floor
        if name == MAIN_SET or floor is None or ZERO_SHOT not in scores_there.scopes:
            continue
        least = floor[ZERO_SHOT]["bleu"].value
        means = {
            arm: table[ZERO_SHOT]["bleu"].value
            for arm, table in scores_there.arms.items()
        }
        above = [arm for arm, value in means.items() if value > least]
        best = max(means, key=means.__getitem__)
        lines.append(
            f"On {name} {len(above) or 'none'} of the {len(means)} arms "
            f"{'are' if len(above) > 1 else 'is'} above the template floor "
            f"({least:.1f} zero-shot BLEU); the best, {best}, has {means[best]:.1f}."
        )
    return lines
