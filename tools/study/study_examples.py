"""Random translations of a study, with what was said to hear."""

import os
from collections.abc import Mapping

from espnet_samu.report.examples import draw_examples
from espnet_samu.report.page import Section, join, tag
from espnet_samu.report.sections import make_example_section
from espnet_samu.scoring.system_result import split_directions
from study.space_sections import make_missing
from study.study_results import StudyResults

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
            systems[f"{arm.name}, seed {seed}"] = {u.id: u.hyp for u in utterances}
            for utt in utterances:
                if utt.lang in results.options.zero_shot:
                    refs[utt.id], langs[utt.id] = utt.ref, utt.lang
    directions = split_directions(refs, langs, {utt: "en" for utt in refs})
    examples = draw_examples(directions, refs, sources, systems, NUMBER, SEED, sounds)
    section = make_example_section(examples, SEED)
    parts = [section.content]
    if sounds:
        parts.insert(0, tag("p", f"The clips: {credit}"))
    else:
        parts.insert(0, make_missing("Players for the clips are", "--audio"))
    return Section("examples", "Random translations", join(parts))
