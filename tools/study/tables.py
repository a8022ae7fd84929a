"""The tables of a study, and how their figures are written."""

import dataclasses
from collections.abc import Mapping, Sequence

from espnet_samu.scoring.table import format_number, format_table
from study.arm_runs import ArmRuns
from study.estimate import Difference, Estimate
from study.resampling import GAP, ZERO_SHOT
from study.set_scores import Outcome, SetScores
from study.study_results import StudyResults


@dataclasses.dataclass(frozen=True)
class Table:
    """Cells with what they are."""

    caption: str
    """What the table shows."""
    header: Sequence[str]
    """Column titles."""
    rows: Sequence[Sequence[str]]
    """Cells, as many in a row as there are titles."""
    text_columns: int = 1
    """Columns from the left that are text, the others are numbers."""
    note: str = ""
    """What a reader has to know about it."""

    def to_markdown(self) -> str:
        """Return it with caption and note, as paragraphs."""
        body = format_table(self.header, self.rows, self.text_columns)
        return "\n\n".join(part for part in (self.caption, self.note, body) if part)


TITLES = {
    "bleu": "BLEU",
    "chrf": "chrF",
    "exact_match": "exact match",
    "slot_accuracy": "slot accuracy",
}
DIGITS = {"bleu": 1, "chrf": 1, "exact_match": 3, "slot_accuracy": 3}
NONE = "-"


def format_interval(interval: tuple[float, float], digits: int, sign: str = "") -> str:
    """Return the ends of an interval."""
    low, high = interval
    return f"[{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]"


def format_figure(
    figure: Estimate | Difference | None, metric: str, sign: str = ""
) -> str:
    """Return a figure with its interval, `*` where that is over sentences only."""
    if figure is None:
        return NONE
    digits = DIGITS[metric]
    interval = format_interval(figure.interval, digits, sign)
    mark = "" if figure.covers_seeds else "*"
    return f"{figure.value:{sign}.{digits}f} {interval}{mark}"


def format_size(effect_size: float | None) -> str:
    """Return an effect size."""
    return NONE if effect_size is None else f"{effect_size:+.1f}"


FLOOR = "template floor"


def _make_primary_table(
    outcomes: Sequence[Outcome], metrics: Sequence[str], which: str = "", note: str = ""
) -> Table:
    """Return the comparisons that were registered before the runs.

    Args:
        outcomes: What became of them.
        metrics: What is scored, BLEU first.
        which: Which seeds, if not all that were planned.
        note: What a reader has to know about these seeds.
    """
    rows = []
    for outcome in outcomes:
        for scope in (ZERO_SHOT, *outcome.languages):
            bleu = outcome.find(scope)
            row = [
                f"{outcome.comparison.name}: {outcome.title}",
                scope,
                outcome.verdict(scope),
                format_figure(bleu, "bleu", "+"),
            ]
            if bleu is None:
                rows.append(row + [NONE] * (5 + len(metrics) - 1))
                continue
            adjusted = outcome.p_adjusted if scope == ZERO_SHOT else None
            row += [
                format_interval(bleu.percentile, 1, "+"),
                format_number(bleu.p_value, 4),
                format_number(adjusted, 4),
                format_size(bleu.effect_size),
                *(
                    format_figure(outcome.find(scope, metric), metric, "+")
                    for metric in metrics[1:]
                ),
                f"{len(bleu.paired)} + {len(bleu.unpaired)}",
            ]
            rows.append(row)
    header = ["comparison", "languages", "verdict", "BLEU", "percentiles", "p"]
    header += ["p (Holm)", "d", *(TITLES[metric] for metric in metrics[1:])]
    header += ["seeds paired + not"]
    note = note or (
        "Differences with 95 % intervals over seeds and sentences, paired by sentence "
        "and by seed. Percentiles: seeds drawn like sentences, too narrow where seeds "
        "decide, wider where each seed errs on other sentences. p is two-sided; p "
        "(Holm) is adjusted for the number of these comparisons, of the means, and no "
        "verdict rests on it. d: the difference over the standard deviation over "
        "seeds, pooled over both arms (Cohen's d). No p can be less than "
        "2 / (resampled sets + 1)."
    )
    return Table(f"Registered comparisons{which}", header, rows, 3, note)


def make_primary_tables(results: StudyResults) -> list[Table]:
    """Return the registered comparisons, and again with other seeds.

    Args:
        results: What the study found.
    """
    metrics = results.main.metrics
    tables = [_make_primary_table(results.outcomes, metrics)]
    if results.fresh:
        which = f" without seeds {' and '.join(map(str, results.options.seen_seeds))}"
        note = "Without the seeds of which some were seen before the registration."
        tables.append(_make_primary_table(results.fresh, metrics, which, note))
    if results.replicated:
        note = "Seeds that were registered and run after all others, by themselves."
        found = results.replicated
        tables.append(_make_primary_table(found, metrics, ", replicated", note))
        note = "The planned seeds and those of the replication together."
        found = results.pooled
        tables.append(_make_primary_table(found, metrics, ", all seeds", note))
    return tables


def make_score_table(scores: SetScores, metric: str) -> Table:
    """Return a metric by arm and language, the template floor last.

    Args:
        scores: Figures of a test set.
        metric: One of those that are scored.
    """
    table = {**scores.arms, **({FLOOR: scores.floor} if scores.floor else {})}
    rows = []
    for name, estimates in table.items():
        bleu = next(iter(estimates.values()))["bleu"]
        seeds = len(bleu.by_seed) if bleu is not None and name != FLOOR else None
        cells = [format_figure(estimates[s][metric], metric) for s in scores.scopes]
        rows.append([scores.label(name), NONE if seeds is None else str(seeds), *cells])
    note = "Mean over seeds with 95 % interval over seeds and sentences"
    if GAP in scores.scopes:
        note += "; gap: supervised less zero-shot mean"
    note += ". * over sentences only: there is one seed, or none."
    header = ["arm", "seeds", *scores.scopes]
    return Table(f"{TITLES[metric]} on {scores.name}", header, rows, 1, note)


def _make_difference_table(
    scores: SetScores, pairs: Mapping[tuple[str, str], str], caption: str, note: str
) -> Table:
    """Return differences of arms.

    Args:
        scores: Figures of a test set.
        pairs: Arm and the one it is compared with, and the name of the row.
        caption: What they are.
        note: What a reader has to know about them.
    """
    langs = [s for s in scores.scopes if s in (ZERO_SHOT, *scores.languages)]
    rows = []
    for pair, name in pairs.items():
        table = scores.differences[pair]
        bleu = {scope: table[scope]["bleu"] for scope in langs}
        mean = bleu.get(ZERO_SHOT)
        known = mean is not None and mean.covers_seeds
        row = [name, *(format_figure(d, "bleu", "+") for d in bleu.values())]
        row += [
            format_number(mean.p_value if known else None, 4),
            format_size(mean.effect_size if known else None),
            *(
                (
                    format_figure(table[ZERO_SHOT][metric], metric, "+")
                    if ZERO_SHOT in table
                    else NONE
                )
                for metric in scores.metrics[1:]
            ),
        ]
        rows.append(row)
    header = ["arm", *(f"BLEU {scope}" for scope in langs), "p", "d"]
    header += [f"{TITLES[metric]} zero-shot" for metric in scores.metrics[1:]]
    return Table(f"{caption}, on {scores.name}", header, rows, 1, note)


def make_correlation_table(results: StudyResults) -> Table:
    """Return how R@1 and BLEU go together.

    Args:
        results: What the study found.
    """
    rows = [
        [
            scope,
            NONE if one.rho is None else f"{one.rho:+.2f}",
            NONE if one.interval is None else format_interval(one.interval, 2, "+"),
            str(one.runs),
            str(one.arms),
        ]
        for scope, one in results.correlations.items()
    ]
    note = (
        "Spearman's rho of R@1 (speech to text) and BLEU, over the runs of distilled "
        "arms whose encoder stays as R@1 found it; 95 % interval by drawing arms with "
        "all their runs. "
    )
    if results.without_retrieval:
        seeds = "; ".join(
            f"{results.main.label(arm)} {' '.join(map(str, seeds))}"
            for arm, seeds in results.without_retrieval.items()
        )
        note += (
            "Not among them, since they have no distilled encoder or train it on, arm "
            f"and seeds: {seeds}."
        )
    header = ["languages", "rho", "95 %", "runs", "arms"]
    return Table("Retrieval and translation", header, rows, 1, note)


def _join(table: Mapping[str, str]) -> str:
    """Return pairs as text."""
    return ", ".join(f"{key} {value}" for key, value in table.items()) or NONE


def make_run_table(arms: Sequence[ArmRuns]) -> Table:
    """Return what was run, failed, is missing, and what it cost.

    Args:
        arms: All arms.
    """
    rows = []
    for arm in arms:
        updates = {k: "/".join(map(str, v)) for k, v in arm.updates().items()}
        minutes = {k: f"{v / 60:.1f}" for k, v in arm.seconds().items()}
        failed = {str(seed): f"({error})" for seed, error in arm.failed.items()}
        seeds = " ".join(map(str, arm.finished)) or NONE
        if second := [seed for seed in arm.replication if seed in arm.runs]:
            seeds += f"; replication: {' '.join(map(str, second))}"
        if arm.extra:
            seeds += f"; beyond the plan, not counted: {' '.join(map(str, arm.extra))}"
        rows.append(
            [
                arm.label,
                arm.name,
                arm.what,
                seeds,
                _join(failed),
                " ".join(map(str, arm.missing)) or NONE,
                _join(updates),
                _join(minutes),
                " ".join(arm.hashes) or NONE,
            ]
        )
    header = ["arm", "folder", "what", "finished seeds", "failed", "missing", "updates"]
    header += ["minutes a run (mean)", "settings"]
    return Table(
        "Runs",
        header,
        rows,
        9,
        "Every arm of the plan and every run that is there; none is left out. Students "
        "that arms share are counted in each of them.",
    )


def make_difference_tables(scores: SetScores) -> list[Table]:
    """Return the differences to every baseline that has runs, and of further pairs.

    Args:
        scores: Figures of a test set.
    """
    note = (
        "Paired by sentence and, where both have it, by seed. p and d are of zero-shot "
        "BLEU. Exploratory, but for the registered comparisons: so many tests by "
        "themselves will show some difference by chance. * over sentences only, "
        "without p and d: an arm has one seed, which is compared with the same seed of "
        "the other, or with its mean."
    )
    tables = []
    for against in scores.baselines:
        pairs = {
            pair: scores.label(pair[0])
            for pair in scores.differences
            if pair[1] == against
        }
        name = scores.label(against)
        caption, first = f"Against {name}", f"Arm less {name}. "
        tables.append(_make_difference_table(scores, pairs, caption, first + note))
    pairs = {p: scores.compare(*p) for p in scores.pairs if p in scores.differences}
    tables.append(_make_difference_table(scores, pairs, "Further pairs", note))
    return [table for table in tables if table.rows]
