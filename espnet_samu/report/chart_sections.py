"""Charts of a report: BLEU by language and group, length ratio."""

from collections.abc import Mapping, Sequence

from espnet_samu.report.bar_chart import Series, draw_bars
from espnet_samu.report.figure import make_figure, make_legend
from espnet_samu.report.group_means import GroupMeans
from espnet_samu.report.html import Html, join
from espnet_samu.report.page import Section
from espnet_samu.report.published import PublishedSystem
from espnet_samu.report.results import Results
from espnet_samu.scoring.system_result import SystemResult


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
    colour: int, system: PublishedSystem, directions: Sequence[str]
) -> Series:
    """Return the values of a published system by direction."""
    found = {name: system.find(name) for name in directions}
    known = {name: value for name, value in found.items() if value is not None}
    return Series(system.name, colour, known, published=True)


def _legend(series: Sequence[Series]) -> Html:
    """Return the list of systems with their colours."""
    return make_legend([(one.name, one.colour, one.published) for one in series])


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
    parts = [make_figure(charts, _legend(shown), text, commands)]

    if means.names:
        bars = [
            Series(one.name, one.colour, means.of(one.name), published=one.published)
            for one in series
        ]
        bars = [bar for bar in bars if bar.values]
        limit = _limit(bars)
        # In one column the names of many means would be far from those of languages.
        chart = draw_bars("means", "BLEU: means", means.names, bars, limit)
        text = "Macro means of BLEU: every language counts the same. "
        parts.append(make_figure([chart], _legend(bars), text, commands))
    return Section("bleu", "BLEU", join(parts))


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
        "length", "Length ratio", make_figure(charts, _legend(series), text, commands)
    )
