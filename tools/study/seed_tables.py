"""Tables of figures that each run has of its own: retrieval, development set."""

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

from scipy import stats

from study.resampling import GAP, SUPERVISED, ZERO_SHOT
from study.study_results import StudyResults
from study.tables import NONE, Table, format_interval


def _format_seeds(values: Sequence[float], digits: int) -> str:
    """Return a mean with its 95 % interval over seeds, by Student's t."""
    mean = fmean(values)
    if len(values) < 2:
        return f"{mean:.{digits}f}*"
    error = stdev(values) / len(values) ** 0.5
    width = error * float(stats.t.ppf(0.975, len(values) - 1))
    interval = format_interval((mean - width, mean + width), digits)
    return f"{mean:.{digits}f} {interval}"


def _group(table: Mapping[str, float], results: StudyResults) -> dict[str, float]:
    """Return figures by language, then the means of both groups and the gap."""
    groups = {
        SUPERVISED: [table[x] for x in results.options.supervised if x in table],
        ZERO_SHOT: [table[x] for x in results.options.zero_shot if x in table],
    }
    means = {name: fmean(found) for name, found in groups.items() if found}
    if len(means) == 2:
        means[GAP] = means[SUPERVISED] - means[ZERO_SHOT]
    return {**table, **means}


def _make_seed_table(
    caption: str,
    results: StudyResults,
    runs: Mapping[str, list[Mapping[str, float]]],
    digits: int,
) -> Table:
    """Return figures by arm and language.

    Args:
        caption: What they are.
        results: What the study found.
        runs: By label of an arm: figures by language of each of its runs.
        digits: Decimals.
    """
    rows, columns = [], {}
    grouped = {
        arm: [_group(run, results) for run in found] for arm, found in runs.items()
    }
    for found in grouped.values():
        columns |= dict.fromkeys(found[0])
    for arm, found in grouped.items():
        cells = [
            _format_seeds([run[x] for run in found], digits) if x in found[0] else NONE
            for x in columns
        ]
        rows.append([arm, str(len(found)), *cells])
    note = "Mean with 95 % interval over seeds, by Student's t; * one seed."
    return Table(caption, ["arm", "seeds", *columns], rows, 1, note)


def make_retrieval_tables(results: StudyResults) -> list[Table]:
    """Return R@1 by arm and language, where speech was searched among English, too.

    Args:
        results: What the study found.
    """
    found: dict[str, dict[str, list[Mapping[str, float]]]] = {}
    for arm in results.arms:
        for run in arm.finished.values():
            for name, table in (run.retrieval or {}).items():
                found.setdefault(name, {}).setdefault(arm.label, []).append(table)
    if not any(", " in name for name in found):
        return []
    return [
        _make_seed_table(
            f"R@1 on {name}{'' if ', ' in name else ', speech to its own transcripts'}",
            results,
            runs,
            2,
        )
        for name, runs in found.items()
    ]


def make_dev_table(results: StudyResults) -> Table | None:
    """Return BLEU on the development set, the only one of the supervised languages.

    Args:
        results: What the study found.

    Returns:
        None where the main test set has these languages.
    """
    if SUPERVISED in results.main.scopes:
        return None
    runs = {
        arm.label: [run.dev["bleu"] for run in arm.finished.values() if run.dev]
        for arm in results.arms
    }
    runs = {arm: found for arm, found in runs.items() if found}
    return _make_seed_table("BLEU on dev", results, runs, 1) if runs else None
