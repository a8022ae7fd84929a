"""report.html of a study."""

from collections.abc import Mapping, Sequence

from espnet_samu.report.page import (
    Html,
    Section,
    definitions,
    join,
    make_page,
    show_commands,
    tag,
)
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
from study.chart_sections import (
    make_bleu_section,
    make_curve_section,
    make_forest_section,
)
from study.embedding_set import EmbeddingSet
from study.markdown_page import describe_method
from study.space_sections import (
    make_projection_section,
    make_retrieval_section,
)
from study.study_examples import make_study_examples
from study.study_results import StudyResults
from study.sufficient_statistics import METRICS
from study.tables import (
    make_difference_tables,
    make_primary_tables,
    make_run_table,
    make_score_table,
)


def _make_head(results: StudyResults, notes: Mapping[str, str]) -> Html:
    """Return what is missing or does not hold, claim, answer, limits, what was run."""
    parts = []
    for warning in (state_mixed(results), state_missing(results)):
        if warning is not None:
            parts.append(tag("div", tag("p", warning), class_="first"))
    short = list_shortfalls(results)
    if short:
        title = "Not every registered comparison holds for every language"
        lines = tag("ul", *(tag("li", line) for line in short))
        parts.append(tag("div", tag("p", tag("strong", title)), lines, class_="first"))
    for sentence in (state_claim(results), state_answer(results)):
        parts.append(tag("p", sentence, class_="claim"))
    parts.append(tag("ul", *(tag("li", line) for line in list_outcomes(results))))
    parts.append(make_answer_table(results).to_html())
    limits = state_limits(results)
    if limits:
        parts.append(tag("p", "Where the answer ends:"))
        parts.append(tag("ul", *(tag("li", line) for line in limits)))
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
    parts.append(definitions(facts.items()))
    return join(parts)


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
    registered = [table.to_html() for table in make_primary_tables(results)]
    tables = [
        join([tag("h3", name), *(make_score_table(s, m).to_html() for m in METRICS)])
        for name, s in results.sets.items()
    ]
    against = [
        table.to_html()
        for scores in results.sets.values()
        for table in make_difference_tables(scores)
    ]
    versions = {k: "/".join(v) for k, v in results.versions().items()}
    settings = [
        tag("p", describe_method(results)),
        definitions([("BLEU", tag("code", results.signature)), *versions.items()]),
        tag("h3", "Commands"),
        definitions(
            (name, show_commands([text]))
            for name, text in {**commands, "this page": own}.items()
        ),
    ]
    sections = [
        make_forest_section(results, made_by),
        Section("registered", "Registered comparisons", join(registered)),
        make_bleu_section(results, made_by),
        make_curve_section(results.arms, made_by),
        make_retrieval_section(results, embeddings, commands, made_by),
        make_projection_section(embeddings, commands),
        make_study_examples(results, sources, sounds, credit),
        Section("scores", "All scores", join(tables)),
        Section("against", "All arms against others", join(against)),
        Section("runs", "Runs", make_run_table(results.arms).to_html()),
        Section("settings", "Settings", join(settings)),
    ]
    shown = [section for section in sections if section is not None]
    return make_page(title, _make_head(results, notes), shown)
