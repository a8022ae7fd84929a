"""RESULTS.md and report.html of a study."""

import os
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from espnet_samu.report.examples import draw_examples
from espnet_samu.report.page import Section, make_page
from espnet_samu.report.sections import make_example_section
from espnet_samu.scoring.directions import split_directions
from study.answer import (
    list_outcomes,
    list_shortfalls,
    make_answer_table,
    state_answer,
    state_claim,
    state_limits,
    state_missing,
    state_mixed,
)
from study.chart_sections import (
    make_bleu_section,
    make_curve_section,
    make_forest_section,
)
from study.plots import study_macros
from study.seed_tables import make_dev_table, make_retrieval_tables
from study.space_sections import (
    EmbeddingSet,
    make_projection_section,
    make_retrieval_section,
)
from study.study_results import StudyResults
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
        parts += [make_score_table(scores, m).to_markdown() for m in scores.metrics]
        parts += [table.to_markdown() for table in make_difference_tables(scores)]
    dev = make_dev_table(results)
    if dev is not None:
        parts += ["## Development set", dev.to_markdown()]
    parts += ["## Retrieval", make_correlation_table(results).to_markdown()]
    parts += [table.to_markdown() for table in make_retrieval_tables(results)]
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


NUMBER = 10
"""Translations for each zero-shot language."""
SEED = 1


def make_study_examples(
    results: StudyResults,
    sources: Mapping[str, str],
    sounds: Mapping[str, str | os.PathLike[str]],
    credit: str,
) -> Section:
    """Draw utterances of the zero-shot languages, with all registered arms' output.

    Args:
        results: What the study found.
        sources: Transcripts; some or all may lack.
        sounds: Sound files; some or all may lack.
        credit: Whose recordings these are, and under which licence.
    """
    name = results.main.name
    shown = {
        arm.name: min(arm.finished)
        for arm in results.arms
        if arm.primary and arm.finished
    } or {arm.name: min(arm.finished) for arm in results.arms if arm.finished}
    systems, refs, langs = {}, {}, {}
    for arm in results.arms:
        if arm.name in shown:
            seed = shown[arm.name]
            utterances = arm.finished[seed].utterances.get(name, ())
            systems[f"{arm.label}, seed {seed}"] = {u.id: u.hyp for u in utterances}
            for utt in utterances:
                if utt.lang in results.options.zero_shot:
                    refs[utt.id], langs[utt.id] = utt.ref, utt.lang
    directions = split_directions(refs, langs, {utt: "en" for utt in refs})
    examples = draw_examples(directions, refs, sources, systems, NUMBER, SEED, sounds)
    section = make_example_section(examples, SEED)
    content = study_macros().examples(bool(sounds), credit, section.content)
    return Section("examples", "Random translations", content)


def _make_head(results: StudyResults, notes: Mapping[str, str]) -> Markup:
    """Return what is missing or does not hold, claim, answer, limits, what was run."""
    runs = [run for arm in results.arms for run in arm.runs.values()]
    missing = sum(len(arm.missing) for arm in results.arms)
    failed = sum(len(arm.failed) for arm in results.arms)
    hours = sum(sum(run.seconds.values()) for run in runs) / 3600
    facts = {
        "arms": f"{len(results.main.arms)} with scores, of {len(results.arms)}",
        "runs": f"{len(runs) - failed} finished, {failed} failed, {missing} missing",
        "wall time": f"{hours:.1f} hours in all, shared students counted in each arm",
        "machine": "; ".join(results.machines()) or "-",
        **notes,
    }
    warnings = [state_mixed(results), state_missing(results)]
    return study_macros().head(
        [warning for warning in warnings if warning is not None],
        list_shortfalls(results),
        [state_claim(results), state_answer(results)],
        list_outcomes(results),
        make_answer_table(results),
        state_limits(results),
        facts,
    )


def make_html(
    results: StudyResults,
    title: str,
    embeddings: Sequence[EmbeddingSet],
    sources: Mapping[str, str],
    sounds: Mapping[str, str],
    credit: str,
    commands: Mapping[str, str],
    notes: Mapping[str, str],
    own: str,
) -> str:
    """Return the page: one file that needs no other.

    Args:
        results: What the study found.
        title: Title of the page.
        embeddings: Embeddings of the test set by several encoders.
        sources: Transcripts; some or all may lack.
        sounds: Sound files; some or all may lack.
        credit: Whose recordings these are, and under which licence.
        commands: Command lines by what they made.
        notes: Further facts below the title.
        own: Command line that makes the page.
    """
    made_by = [commands.get("runs", ""), own]
    folded = study_macros().folded
    scores = {
        f"On {name}": [make_score_table(found, metric) for metric in found.metrics]
        for name, found in results.sets.items()
    }
    dev = make_dev_table(results)
    if dev is not None:
        scores["On dev"] = [dev]
    if found_r1 := make_retrieval_tables(results):
        scores["Retrieval (R@1)"] = found_r1
    against = {
        f"On {name}": make_difference_tables(found)
        for name, found in results.sets.items()
    }
    settings = study_macros().settings(
        describe_method(results),
        results.signature,
        {name: "/".join(found) for name, found in results.versions().items()},
        {**commands, "this page": own},
    )
    registered = study_macros().tables(make_primary_tables(results))
    runs = folded({"Every arm and every run": [make_run_table(results.arms)]})
    sections = [
        make_forest_section(results, made_by),
        Section("registered", "Registered comparisons", registered),
        make_bleu_section(results, made_by),
        make_curve_section(results.arms, made_by),
        make_retrieval_section(results, embeddings, commands, made_by),
        make_projection_section(embeddings, commands),
        make_study_examples(results, sources, sounds, credit),
        Section("scores", "All scores", folded(scores)),
        Section("against", "All arms against others", folded(against)),
        Section("runs", "Runs", runs),
        Section("settings", "Settings", settings),
    ]
    shown = [section for section in sections if section is not None]
    return make_page(title, _make_head(results, notes), shown)
