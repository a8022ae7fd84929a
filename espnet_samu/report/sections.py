"""Sections of the report: scores, charts and examples."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from espnet_samu.report.charts import Series, draw_bars, make_figure, series_legend
from espnet_samu.report.examples import Example, embed_clip, embed_png
from espnet_samu.report.page import Section, load_macros, make_definitions
from espnet_samu.report.results import GroupMeans, PublishedSystem, Results
from espnet_samu.scoring.directions import Direction
from espnet_samu.scoring.significance import Significance
from espnet_samu.scoring.system_result import SystemResult
from espnet_samu.scoring.table import (
    COLUMNS,
    collect_signatures,
    format_number,
    score_cells,
)

P_LEVEL = 0.05


def _macros() -> Any:
    """Return the sections' templates."""
    return load_macros("sections.html")


def make_head(results: Results, notes: Mapping[str, str]) -> Markup:
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
    return make_definitions([*items, *results.notes.items(), *notes.items()])


def make_group_section(
    means: GroupMeans, published: Sequence[PublishedSystem]
) -> Section:
    """Return the table of means with TRFGap.

    Args:
        means: Means of all systems, at least one.
        published: Those of them that were published.
    """
    gap = any(value is not None for value in means.gaps.values())
    header = ["system", *means.members, *(["TRFGap"] if gap else [])]
    names = {one.name for one in published}
    rows = []
    for system, scores in means.scores.items():
        if not scores:
            continue
        row = [f"{system} (published)" if system in names else system]
        row += [format_number(scores.get(name)) for name in means.members]
        rows.append(row + ([format_number(means.gaps[system])] if gap else []))
    over = [(name, " ".join(members)) for name, members in means.members.items()]
    return Section(
        "groups",
        "Means and transfer gap" if gap else "Means",
        _macros().means(gap, bool(published), header, rows, over),
    )


def make_score_section(results: Results) -> Section:
    """Return the table of all scores.

    Args:
        results: What was scored.
    """
    header, rows = score_cells(results.systems)
    header += ["empty", "N"]
    cells = [[*found, str(row.empty), str(row.utterances)] for row, found in rows]
    return Section("scores", "All scores", _macros().scores(header, cells))


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
                p = Markup("<strong>{}</strong>").format(p)
            interval = f"{score.mean:.1f} ± {score.ci:.1f}"
            row += [f"{score.score:.1f}", interval, p]
        cells.append(row)
    signatures = {
        f"{COLUMNS[field][0]}: {signature}": None
        for by_field in tests.signatures.values()
        for field, signature in by_field.items()
    }
    content = _macros().significance(
        tests.baseline, P_LEVEL, header, cells, signatures, tests.tests
    )
    return Section("significance", "Significance", content)


def make_settings_section(results: Results, commands: Mapping[str, str]) -> Section:
    """Return signatures and commands.

    Args:
        results: What was scored.
        commands: Command lines by what they made.
    """
    signatures = [
        (f"{metric} ({names})", signature)
        for metric, names, signature in collect_signatures(results.systems)
    ]
    content = _macros().settings(signatures, commands.items())
    return Section("settings", "Settings", content)


def _own_series(colour: int, system: SystemResult, field: str) -> Series:
    """Return the values of one of our systems by direction."""
    values = {row.name: row.values[field] for row in system.directions}
    known = {name: value for name, value in values.items() if value is not None}
    return Series(system.name, colour, known)


def _add_intervals(series: Series, results: Results) -> Series:
    """Return a system's BLEU with the intervals that are known."""
    if results.significance is None:
        return series
    intervals = {}
    for name, direction, scores in results.significance.rows():
        if name == series.name:
            mean, ci = scores["bleu"].mean, scores["bleu"].ci
            intervals[direction] = (mean - ci, mean + ci)
    return Series(series.name, series.colour, series.values, intervals)


def _published_series(
    colour: int, system: PublishedSystem, directions: Mapping[str, Direction]
) -> Series:
    """Return the values of a published system by direction."""
    found = {name: system.find(one) for name, one in directions.items()}
    known = {name: value for name, value in found.items() if value is not None}
    return Series(system.name, colour, known, published=True)


def _limit(series: Sequence[Series]) -> float:
    """Return the greatest number of a chart."""
    numbers = [value for one in series for value in one.values.values()]
    numbers += [high for one in series for _, high in one.intervals.values()]
    return max([1.0, *numbers])


def make_bleu_charts(
    results: Results,
    published: Sequence[PublishedSystem],
    means: GroupMeans,
    commands: Sequence[str],
) -> Section:
    """Draw BLEU by language, one chart a group, and the means.

    Args:
        results: What was scored.
        published: Systems to show beside.
        means: Means of all these systems.
        commands: Commands that made the charts.
    """
    panels = results.panels()
    series = [
        _add_intervals(_own_series(i, system, "bleu"), results)
        for i, system in enumerate(results.systems)
    ]
    series += [
        _published_series(len(series) + i, system, results.directions())
        for i, system in enumerate(published)
    ]
    shown = [one for one in series if one.values]
    limit = _limit(shown)
    charts = [
        draw_bars(f"bleu{i}", f"BLEU: {panel}", members, shown, limit)
        for i, (panel, members) in enumerate(panels.items())
    ]
    text = "BLEU by language"
    if any(one.intervals for one in shown):
        text += "; lines are 95 % intervals of the paired bootstrap"
    text += ". "
    parts = [make_figure(charts, series_legend(shown), text, commands)]

    if means.members:
        bars = [
            Series(
                one.name, one.colour, means.scores[one.name], published=one.published
            )
            for one in series
        ]
        bars = [bar for bar in bars if bar.values]
        limit = _limit(bars)
        # In one column the names of many means would be far from those of languages.
        chart = draw_bars("means", "BLEU: means", [*means.members], bars, limit)
        text = "Macro means of BLEU: every language counts the same. "
        parts.append(make_figure([chart], series_legend(bars), text, commands))
    return Section("bleu", "BLEU", Markup("\n").join(parts))


def make_length_charts(results: Results, commands: Sequence[str]) -> Section:
    """Draw the length ratio by language, one chart a group.

    Args:
        results: What was scored.
        commands: Commands that made the charts.
    """
    panels: Mapping[str, Sequence[str]] = results.panels()
    series = [
        _own_series(i, system, "length_ratio")
        for i, system in enumerate(results.systems)
    ]
    limit = max(1.2, _limit(series))
    charts = [
        draw_bars(
            f"length{i}", f"Length ratio: {panel}", members, series, limit, 2, mark=1.0
        )
        for i, (panel, members) in enumerate(panels.items())
    ]
    text = (
        "Tokens in the hypotheses / tokens in the references, as BLEU counts them: "
        "below 1 BLEU has a brevity penalty. "
    )
    return Section(
        "length",
        "Length ratio",
        make_figure(charts, series_legend(series), text, commands),
    )


def make_example_section(examples: Sequence[Example], seed: int) -> Section:
    """Return examples by direction.

    Args:
        examples: Examples, those of a direction beside each other.
        seed: Seed that they were drawn with.
    """
    groups: dict[str, list[tuple[Example, Markup]]] = {}
    for example in examples:
        title = f"{example.direction.source} to {example.direction.target}"
        sound = example.sound
        clip = Markup() if sound is None else embed_clip(sound, example.utt)
        groups.setdefault(title, []).append((example, clip))
    return Section("examples", "Examples", _macros().examples(groups, seed))


def make_image_section(
    images: Mapping[str, str], commands: Mapping[str, str]
) -> Section:
    """Return embedded figures.

    Args:
        images: PNG file by caption.
        commands: Command line by caption; some may lack.
    """
    shown = [
        (name, embed_png(path, name), commands.get(name, ""))
        for name, path in images.items()
    ]
    title = "Retrieval and other figures"
    return Section("figures", title, _macros().figures(shown))
