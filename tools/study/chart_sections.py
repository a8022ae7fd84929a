"""Charts of a study: differences, BLEU by arm, the gap, learning curves."""

from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup

from espnet_samu.report.charts import (
    Series,
    draw_bars,
    make_figure,
    make_legend,
    series_legend,
)
from espnet_samu.report.curves import PALE, Points, draw_xy
from espnet_samu.report.page import Section
from study.arm_runs import ArmRuns
from study.estimate import Difference, Estimate
from study.plots import draw_forest, study_macros
from study.resampling import GAP, ZERO_SHOT
from study.study_results import StudyResults
from study.tables import FLOOR

MEAN = "mean"
# Figures of a training log that are curves, with what they are
CURVES = {
    "cos_right": "cosine to the right sentence, dev",
    "r1": "R@1, dev",
    "acc": "share of right pieces, dev",
    "loss": "loss, dev",
}


def _series(
    name: str, colour: int, figures: Mapping[str, Estimate | Difference | None]
) -> Series:
    """Return figures with their intervals by row."""
    known = {row: figure for row, figure in figures.items() if figure is not None}
    return Series(
        name,
        colour,
        {row: figure.value for row, figure in known.items()},
        {row: figure.interval for row, figure in known.items()},
    )


def _scopes(results: StudyResults) -> dict[str, str]:
    """Return mean and zero-shot languages by the name they are shown with."""
    langs = [f"{lang}" for lang in results.options.zero_shot]
    return {f"{MEAN} of {' and '.join(langs)}": ZERO_SHOT, **{x: x for x in langs}}


def make_forest_section(results: StudyResults, commands: Sequence[str]) -> Section:
    """Draw differences of zero-shot BLEU: registered ones, then all arms.

    Args:
        results: What the study found.
        commands: Commands that made the figures.
    """
    scopes = _scopes(results)
    by_title = {one.title: one for one in results.outcomes}
    tested = [title for title, one in by_title.items() if one.mean is not None]
    parts = []
    if tested:
        series = [
            _series(name, i, {title: by_title[title].find(scope) for title in tested})
            for i, (name, scope) in enumerate(scopes.items())
        ]
        chart = draw_forest("primary", "BLEU: registered comparisons", tested, series)
        text = (
            "Points right of the line: the first arm is better. Lines are 95 % "
            "intervals over seeds and sentences. "
        )
        parts.append(make_figure([chart], series_legend(series), text, commands))
    charts = []
    for i, against in enumerate(results.main.baselines):
        found = {
            results.main.label(arm): table[ZERO_SHOT]["bleu"]
            for (arm, other), table in results.main.differences.items()
            if other == against
        }
        if found:
            series = [_series(MEAN, 0, found)]
            title = f"Zero-shot BLEU less {results.main.label(against)}"
            charts.append(draw_forest(f"against{i}", title, [*found], series))
    if charts:
        legend = make_legend([(next(iter(scopes)), 0, False)])
        text = (
            "All arms against the two controls and the distilled arm; exploratory. "
            "Intervals of an arm with one seed are over sentences only. "
        )
        parts.append(make_figure(charts, legend, text, commands))
    return Section("forest", "Differences of zero-shot BLEU", Markup("\n").join(parts))


def _split(results: StudyResults) -> dict[str, list[str]]:
    """Return arms with scores: those of registered comparisons, and the others."""
    groups: dict[str, list[str]] = {"registered comparisons": [], "other arms": []}
    for arm in results.arms:
        if arm.name in results.main.arms:
            group = "registered comparisons" if arm.primary else "other arms"
            groups[group].append(arm.name)
    return {name: arms for name, arms in groups.items() if arms}


def make_bleu_section(results: StudyResults, commands: Sequence[str]) -> Section:
    """Draw BLEU by arm and language, and the transfer gap.

    Args:
        results: What the study found.
        commands: Commands that made the figures.
    """
    scores = results.main
    tables = {**scores.arms, **({FLOOR: scores.floor} if scores.floor else {})}
    charts, gaps = [], []
    series: list[Series] = []
    for i, (title, members) in enumerate(_split(results).items()):
        names = [*members, *([FLOOR] if scores.floor else [])]
        labels = [scores.label(name) for name in names]
        series = [
            _series(lang, j, {scores.label(n): tables[n][lang]["bleu"] for n in names})
            for j, lang in enumerate(scores.languages)
        ]
        charts.append(draw_bars(f"arms{i}", f"BLEU: {title}", labels, series, 100))
        if GAP in scores.scopes:
            gap = [
                _series(
                    GAP, 0, {scores.label(n): tables[n][GAP]["bleu"] for n in names}
                )
            ]
            gaps.append(draw_forest(f"gap{i}", f"Transfer gap: {title}", labels, gap))
    text = (
        f"BLEU on {scores.name}, {scores.contents} contents in each language; lines "
        "are 95 % intervals over seeds and sentences. "
    )
    shown, gap_figure = make_figure(charts, series_legend(series), text, commands), ""
    if gaps:
        text = (
            f"Mean BLEU of {' and '.join(results.options.supervised)} less that of "
            f"{' and '.join(results.options.zero_shot)}: the less, the more is "
            "transferred, if the former are any good. "
        )
        legend = make_legend([("supervised less zero-shot BLEU", 0, False)])
        gap_figure = make_figure(gaps, legend, text, commands)
    content = study_macros().bleu(shown, gap_figure)
    return Section("bleu", "BLEU by language and arm", content)


def _mean_curve(curves: Iterable[Sequence[Mapping[str, float]]], figure: str):
    """Return the mean over seeds, of the epochs that all have, and its axis."""
    tables = [[row for row in curve if figure in row] for curve in curves]
    tables = [table for table in tables if table]
    pairs = []
    for rows in zip(*tables):
        axis = "updates" if all("updates" in row for row in rows) else "epoch"
        mean = sum(row[figure] for row in rows) / len(rows)
        pairs.append((float(rows[0][axis]), mean))
    return pairs


def make_curve_section(
    arms: Sequence[ArmRuns], commands: Sequence[str]
) -> Section | None:
    """Draw learning curves, arms of registered comparisons in colour.

    Args:
        arms: All arms.
        commands: Commands that made the figures.

    Returns:
        None where no run has curves.
    """
    steps = {
        step: None for a in arms for run in a.finished.values() for step in run.curves
    }
    coloured = [arm.label for arm in arms if arm.primary and arm.finished]
    charts, shown = [], {}
    for step in sorted(steps):
        for figure, title in CURVES.items():
            points = []
            for arm in arms:
                found = [run.curves.get(step, ()) for run in arm.finished.values()]
                pairs = _mean_curve(found, figure)
                if pairs:
                    colour = None
                    if arm.label in coloured:
                        colour = coloured.index(arm.label)
                    points.append(Points(arm.label, colour, pairs))
            if not points:
                continue
            shown |= {p.name: p.colour for p in points if p.colour is not None}
            ends = [f"{p.name} ends at {p.pairs[-1][1]:.2f}" for p in points]
            charts.append(
                draw_xy(
                    f"curve{len(charts)}",
                    f"{step}: {title}",
                    points,
                    ("updates", ""),
                    True,
                    f"{'; '.join(ends)}.",
                )
            )
    if not charts:
        return None
    legend = make_legend(
        [(name, shown[name], False) for name in coloured if name in shown]
        + [("other arms", PALE, False)]
    )
    text = "Means over seeds, of the epochs that all of an arm's seeds have. "
    figure = make_figure(charts, legend, text, commands)
    return Section("curves", "Learning curves", figure)
