"""The claim, what the study says to it, and the arms that it rests on."""

from collections.abc import Sequence

from study.resampling import SUPERVISED, ZERO_SHOT
from study.set_scores import HOLDS, Outcome
from study.study_results import StudyResults
from study.tables import NONE, Table, format_interval


def _join(words: Sequence[str]) -> str:
    """Return words as a list in a sentence."""
    first, last = words[:-1], words[-1:]
    return " and ".join([*([", ".join(first)] if first else []), *last])


def _figure(outcome: Outcome, scope: str) -> str:
    """Return a difference in words."""
    difference = outcome.find(scope)
    if difference is None:
        return f"{outcome.title}: no finished run of one of them"
    interval = format_interval(difference.interval, 1, "+")
    return f"{outcome.title} is {difference.value:+.1f} BLEU {interval}"


def state_missing(results: StudyResults) -> str | None:
    """Say which registered runs are missing or failed; None: none is."""
    missing = {
        arm.label: [seed for seed in arm.planned if seed not in arm.finished]
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
        f"{arm.label}, {' and '.join(arm.hashes)}"
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
            where = f"the mean of {_join(outcome.languages)}"
            lines.append(
                f"{outcome.comparison.name} ({outcome.comparison.shows}) does not "
                f"hold for {where if scope == ZERO_SHOT else scope}: {verdict}; "
                f"{_figure(outcome, scope)}."
            )
    return lines


def state_claim(results: StudyResults) -> str:
    """Return the claim in a sentence."""
    supervised = _join(results.options.supervised)
    zero_shot = _join(results.options.zero_shot)
    return (
        "Claim: distillation on transcribed speech of all languages carries speech "
        f"translation, learned from {supervised} alone, over to {zero_shot}."
    )


def state_answer(results: StudyResults) -> str:
    """Return the answer in a sentence."""
    answer = "Preliminary answer" if state_missing(results) else "Answer"
    outcomes = results.outcomes
    if not outcomes:
        return f"{answer}: no comparison was registered."
    others = [
        f"{one.comparison.name} is {one.verdict()}"
        for one in outcomes
        if one.verdict() != HOLDS
    ]
    held = len(outcomes) - len(others)
    text = f"all {held}" if not others else f"{held or 'none'} of the {len(outcomes)}"
    text += f" registered comparisons {'holds' if held == 1 else 'hold'}"
    text += "".join(f"; {other}" for other in others)
    return f"{answer}, by the mean BLEU of the zero-shot languages: {text}."


def list_outcomes(results: StudyResults) -> list[str]:
    """Say of every registered comparison what it would show, and what came out."""
    return [
        f"{one.comparison.name}, {one.comparison.shows}: {one.verdict()}"
        + ("." if one.mean is None else f"; {_figure(one, ZERO_SHOT)}.")
        for one in results.outcomes
    ]


def _state_again(outcomes: Sequence[Outcome]) -> str:
    """Say what became of comparisons with other seeds than the planned ones."""
    found = [outcome for outcome in outcomes if outcome.mean is not None]
    seeds = sorted({s for o in found for s in (*o.mean.paired, *o.mean.unpaired)})
    parts = []
    for one in found:
        said = f"{one.comparison.name} {one.verdict()}: {_figure(one, ZERO_SHOT)}"
        short = {k: v for k, v in one.shortfalls().items() if k != ZERO_SHOT}
        if short and one.verdict() == HOLDS:
            alone = ", ".join(f"{verdict} for {k}" for k, verdict in short.items())
            said += f" ({alone} alone)"
        parts.append(said)
    return f"seeds {', '.join(map(str, seeds))}: {'; '.join(parts)}"


def state_limits(results: StudyResults) -> list[str]:
    """Say where the answer ends: other intervals and seeds, other test sets."""
    lines = []
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
        lines.append(
            "Some scores of seeds "
            f"{' and '.join(map(str, results.options.seen_seeds))} were known before "
            f"the registration. With {_state_again(results.fresh)}."
        )
    if results.replicated:
        left = [
            f"{arm.label} {seed}"
            for arm in results.arms
            for seed in arm.replication
            if seed not in arm.runs or seed in arm.failed
        ]
        missing = f" (preliminary: without {', '.join(left)})" if left else ""
        lines.append(
            f"A replication was registered after these runs{missing}. With "
            f"{_state_again(results.replicated)}. With {_state_again(results.pooled)}."
        )
    for name, scores_there in results.sets.items():
        floor = scores_there.floor
        is_main = name == results.main.name
        if is_main or floor is None or ZERO_SHOT not in scores_there.scopes:
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
            f"({least:.1f} zero-shot BLEU); the best, "
            f"{scores_there.label(best)}, has {means[best]:.1f}."
        )
    return lines


def make_answer_table(results: StudyResults) -> Table:
    """Return BLEU of the arms that the registered comparisons are about, and of others
    that the plan shows beside them.

    Args:
        results: What the study found.
    """
    scores, floor = results.main, results.main.floor
    what = {arm.name: arm.what for arm in results.arms}
    scopes = [scope for scope in (ZERO_SHOT, SUPERVISED) if scope in scores.scopes]
    least = floor[ZERO_SHOT]["bleu"].value if floor and ZERO_SHOT in floor else None
    rows = []
    pairs = [(o.comparison.arm, o.comparison.against) for o in results.outcomes]
    compared = [name for pair in pairs for name in pair]
    for name in dict.fromkeys([*compared, *results.options.shown]):
        if name not in scores.arms:
            continue
        values = [scores.arms[name][scope]["bleu"].value for scope in scopes]
        row = [scores.label(name), what[name], *(f"{value:.1f}" for value in values)]
        if least is not None:
            row.append(f"{values[0] - least:+.1f}")
        rows.append(row)
    langs = {
        SUPERVISED: results.options.supervised,
        ZERO_SHOT: results.options.zero_shot,
    }
    header = ["arm", "what it is"]
    header += [f"BLEU {scope} ({' '.join(langs[scope])})" for scope in scopes]
    note = ""
    if least is not None:
        values = [f"{floor[scope]['bleu'].value:.1f}" for scope in scopes]
        rows.append(["template floor", "right template, contents by chance", *values])
        rows[-1].append(NONE)
        header.append("zero-shot less floor")
        note = "A gain over an arm below the floor is in part that arm's failure."
    return Table(
        f"Compared arms on {scores.name}, means over seeds", header, rows, 2, note
    )
