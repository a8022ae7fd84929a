"""RESULTS.md of a study."""

from collections.abc import Mapping

from study.answer import (
    list_outcomes,
    list_shortfalls,
    state_answer,
    state_claim,
    state_limits,
    state_missing,
    state_mixed,
)
from study.answer_table import make_answer_table
from study.study_results import StudyResults
from study.sufficient_statistics import METRICS
from study.tables import (
    make_correlation_table,
    make_difference_tables,
    make_primary_tables,
    make_run_table,
    make_score_table,
)


def describe_method(results: StudyResults) -> str:
    """Return how the figures were computed."""
    options = results.options
    return (
        f"{options.samples} resampled sets, seed {options.seed}: contents are drawn "
        "with replacement, the same ones for all arms, seeds and languages (a content "
        "that several languages share is drawn for all of them). What other seeds "
        "would have added is drawn from Student's t with the standard error over "
        "seeds: three or five seeds are too few to be drawn from themselves. A "
        "comparison holds if its 95 % interval is above 0, is refuted if it is below, "
        "and is undecided otherwise. No correction is made for the number of "
        "comparisons in the verdicts; Holm's p-values stand beside the registered ones."
    )


def make_markdown(results: StudyResults, notes: Mapping[str, str], command: str) -> str:
    """Return the page.

    Args:
        results: What the study found.
        notes: Further facts, below the answer.
        command: Command line that made it.
    """
    short = list_shortfalls(results)
    first = "Not every registered comparison holds for every language:"
    parts = ["# RESULTS of the study"]
    warnings = (state_mixed(results), state_missing(results))
    parts += [warning for warning in warnings if warning is not None]
    if short:
        lines = "\n".join(f"- {line}" for line in short)
        parts.append(f"{first}\n\n{lines}")
    parts += [state_claim(results), state_answer(results)]
    parts.append("\n".join(f"- {line}" for line in list_outcomes(results)))
    parts.append(make_answer_table(results).to_markdown())
    limits = "\n".join(f"- {line}" for line in state_limits(results))
    if limits:
        parts.append(f"Where the answer ends:\n\n{limits}")
    if notes:
        parts.append("\n".join(f"- {key}: {value}" for key, value in notes.items()))
    parts.append("## Comparisons")
    parts += [table.to_markdown() for table in make_primary_tables(results)]
    for name, scores in results.sets.items():
        parts.append(f"## {name}")
        parts += [make_score_table(scores, m).to_markdown() for m in METRICS]
        parts += [table.to_markdown() for table in make_difference_tables(scores)]
    parts += ["## Retrieval", make_correlation_table(results).to_markdown()]
    parts += ["## Runs", make_run_table(results.arms).to_markdown()]
    versions = ", ".join(f"{k} {'/'.join(v)}" for k, v in results.versions().items())
    parts += [
        "## Method",
        describe_method(results),
        f"- BLEU: `{results.signature}`\n"
        f"- machine: {'; '.join(results.machines()) or '-'}\n"
        f"- versions: {versions or '-'}\n"
        f"- command: `{command}`",
    ]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"
