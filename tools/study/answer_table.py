"""The compared arms, what they are, and what they cost."""

from study.numbers import NONE
from study.resampling import SUPERVISED, ZERO_SHOT
from study.study_results import MAIN_SET, StudyResults
from study.table import Table


def make_answer_table(results: StudyResults) -> Table:
    """Return BLEU of the arms that the registered comparisons are about.

    Args:
        results: What the study found.
    """
    scores, floor = results.main, results.main.floor
    what = {arm.name: arm.what for arm in results.arms}
    scopes = [scope for scope in (ZERO_SHOT, SUPERVISED) if scope in scores.scopes]
    least = floor[ZERO_SHOT]["bleu"].value if floor and ZERO_SHOT in floor else None
    rows = []
    pairs = [(o.comparison.arm, o.comparison.against) for o in results.outcomes]
    for name in dict.fromkeys(name for pair in pairs for name in pair):
        if name not in scores.arms:
            continue
        values = [scores.arms[name][scope]["bleu"].value for scope in scopes]
        row = [name, what[name], *(f"{value:.1f}" for value in values)]
        if least is not None:
            row.append(f"{values[0] - least:+.1f}")
        rows.append(row)
    langs = {
        SUPERVISED: results.options.supervised,
        ZERO_SHOT: results.options.zero_shot,
    }
    header = ["arm", "what it is"]
    header += [f"BLEU {scope} ({' '.join(langs[scope])})" for scope in scopes]
    note = ""
    if least is not None:
        values = [f"{floor[scope]['bleu'].value:.1f}" for scope in scopes]
        rows.append(["template floor", "right template, contents by chance", *values])
        rows[-1].append(NONE)
        header.append("zero-shot less floor")
        note = "A gain over an arm below the floor is in part that arm's failure."
    return Table(
        f"Compared arms on {MAIN_SET}, means over seeds", header, rows, 2, note
    )
