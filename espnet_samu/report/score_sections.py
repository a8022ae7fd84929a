"""Tables of a report: groups, all scores, significance, settings."""

from collections.abc import Mapping, Sequence

from espnet_samu.report.commands import show_commands
from espnet_samu.report.group_means import GroupMeans
from espnet_samu.report.html import Html, definitions, join, table, tag
from espnet_samu.report.page import Section
from espnet_samu.report.published import PublishedSystem
from espnet_samu.report.results import Results
from espnet_samu.scoring.markdown import format_number
from espnet_samu.scoring.significance import Significance
from espnet_samu.scoring.translation_table import (
    COLUMNS,
    collect_signatures,
    name_row,
    used_columns,
)

P_LEVEL = 0.05


def make_head(results: Results, notes: Mapping[str, str]) -> Html:
    """Return the settings at the top of the page.

    Args:
        results: What was scored.
        notes: Further settings of the run.
    """
    first = results.systems[0]
    utterances = sum(row.utterances for row in first.directions)
    items = [
        ("systems", ", ".join(system.name for system in results.systems)),
        ("test set", f"{utterances} utterances, {len(first.directions)} directions"),
    ]
    if results.train_langs is not None:
        langs = " ".join(results.train_langs)
        items.append(("languages with translations in training", langs or "none"))
    for group in dict.fromkeys(results.groups.values()):
        langs = " ".join(k for k, v in results.groups.items() if v == group)
        items.append((f"group {group}", langs))
    return definitions([*items, *results.notes.items(), *notes.items()])


def make_group_section(
    means: GroupMeans, published: Sequence[PublishedSystem]
) -> Section:
    """Return the table of means with TRFGap.

    Args:
        means: Means of all systems, at least one.
        published: Those of them that were published.
    """
    gap = any(value is not None for value in means.gaps.values())
    header = ["system", *means.names, *(["TRFGap"] if gap else [])]
    names = {one.name for one in published}
    rows = []
    for system, scores in means.scores.items():
        if not scores:
            continue
        row = [f"{system} (published)" if system in names else system]
        row += [format_number(scores.get(name)) for name in means.names]
        rows.append(row + ([format_number(means.gaps[system])] if gap else []))
    over = [(name, " ".join(members)) for name, members in means.members.items()]
    text = (
        "Macro means of BLEU: every language counts the same, whatever its number of "
    )
    text += "utterances. "
    if gap:
        text += "TRFGap is mean BLEU of group high minus group low: the less, the more "
        text += "is transferred. "
    if published:
        text += "Means of published systems are over the same languages as ours, or "
        text += "are left out."
    return Section(
        "groups",
        "Means and transfer gap" if gap else "Means",
        join([tag("p", text), table("Mean BLEU", header, rows), definitions(over)]),
    )


def make_score_section(results: Results) -> Section:
    """Return the table of all scores.

    Args:
        results: What was scored.
    """
    rows = [(s.name, r) for s in results.systems for r in (*s.means, *s.directions)]
    fields = used_columns([row for _, row in rows])
    header = ["system", "languages", *(COLUMNS[field][0] for field in fields)]
    cells = [
        [
            system,
            name_row(row),
            *(format_number(row.values[f], COLUMNS[f][1]) for f in fields),
            str(row.empty),
            str(row.utterances),
        ]
        for system, row in rows
    ]
    text = "More is better, but less of TER; the length ratio is best at 1. "
    text += "Empty: hypotheses without a word; they count as they are."
    content = table("All scores", [*header, "empty", "N"], cells, texts=2)
    return Section("scores", "All scores", join([tag("p", text), content]))


def make_significance_section(tests: Significance) -> Section:
    """Return the table of tests against the baseline.

    Args:
        tests: At least one direction.
    """
    fields = [*next(iter(tests.signatures.values()))]
    header = ["system", "languages"]
    for field in fields:
        title = COLUMNS[field][0]
        header += [title, f"{title}, 95 %", f"{title}, p"]
    cells: list[list[str]] = []
    for name, direction, scores in tests.rows():
        row: list[str] = [name, direction]
        for field in fields:
            score = scores[field]
            p = format_number(score.p_value, 4)
            if score.p_value is not None and score.p_value < P_LEVEL:
                p = tag("strong", p)
            interval = f"{score.mean:.1f} ± {score.ci:.1f}"
            row += [f"{score.score:.1f}", interval, p]
        cells.append(row)
    text = (
        f"Paired bootstrap against {tests.baseline}, by sacreBLEU: mean and 95 % "
        "interval of the resampled sets, and the probability of such a difference by "
        f"chance (bold below {P_LEVEL}). Each test stands alone: no correction is made "
        "for their number, and means over languages are not tested."
    )
    signatures = {
        f"{COLUMNS[field][0]}: {signature}": None
        for by_field in tests.signatures.values()
        for field, signature in by_field.items()
    }
    content = [
        tag("p", text),
        table(f"Tests against {tests.baseline}", header, cells, texts=2),
        tag("pre", tag("code", "\n".join(signatures))),
    ]
    return Section("significance", "Significance", join(content))


def make_settings_section(results: Results, commands: Mapping[str, str]) -> Section:
    """Return signatures and commands.

    Args:
        results: What was scored.
        commands: Command lines by what they made.
    """
    signatures = [
        (f"{metric} ({names})", tag("code", signature))
        for metric, names, signature in collect_signatures(results.systems)
    ]
    shown = [(name, show_commands([command])) for name, command in commands.items()]
    content = [
        tag("h3", "Signatures"),
        definitions(signatures),
        tag("h3", "Commands"),
        definitions(shown),
    ]
    return Section("settings", "Settings", join(content))
