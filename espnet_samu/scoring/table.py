"""Markdown tables of translation scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # sacrebleu: not for each program that prints a table
    from espnet_samu.scoring.significance import Significance
    from espnet_samu.scoring.system_result import ScoreRow, SystemResult


def format_number(value: float | None, digits: int = 1) -> str:
    """Return a number with fixed digits, "-" where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def format_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int = 1
) -> str:
    """Return a markdown table with aligned columns.

    Args:
        header: Column titles.
        rows: Cells, as many as there are titles.
        text_columns: Columns from the left that are aligned left, the others right.
    """
    cells = [[c.replace("|", "\\|") for c in row] for row in (header, *rows)]
    # A rule of at least "-:" is what makes a column to markdown.
    widths = [max(2, *map(len, column)) for column in zip(*cells, strict=True)]

    def line(row: Sequence[str]) -> str:
        padded = [
            c.ljust(w) if i < text_columns else c.rjust(w)
            for i, (c, w) in enumerate(zip(row, widths))
        ]
        return f"| {' | '.join(padded)} |"

    rule = [
        "-" * w if i < text_columns else "-" * (w - 1) + ":"
        for i, w in enumerate(widths)
    ]
    return "\n".join([line(cells[0]), line(rule), *map(line, cells[1:])]) + "\n"


# Field of a row: column title, digits
COLUMNS = {
    "bleu": ("BLEU", 1),
    "chrf": ("chrF2", 1),
    "ter": ("TER", 1),
    "comet": ("COMET", 3),
    "exact_match": ("exact match", 3),
    "slot_accuracy": ("slot accuracy", 3),
    "r1": ("R@1", 3),
    "length_ratio": ("length ratio", 3),
}
# Columns that are left out where no system has a value
OPTIONAL = ("chrf", "ter", "comet", "slot_accuracy", "r1")
NAMED_MEMBERS = 5  # a mean over more rows gives their number only


def used_columns(rows: Sequence[ScoreRow]) -> list[str]:
    """Return the columns of a table: required ones, and others with a value."""
    return [
        field
        for field in COLUMNS
        if field not in OPTIONAL or any(row.values[field] is not None for row in rows)
    ]


def name_row(row: ScoreRow) -> str:
    """Return the name of a row, and the members of a mean."""
    if not row.members:
        return row.name
    few = len(row.members) <= NAMED_MEMBERS
    return f"{row.name} ({' '.join(row.members) if few else len(row.members)})"


def collect_signatures(systems: Sequence[SystemResult]) -> list[tuple[str, str, str]]:
    """Return the signatures of all scores, by metric and directions.

    Args:
        systems: Scored systems.
    """
    rows = [row for system in systems for row in system.directions]
    lines = []
    for field in COLUMNS:
        by_signature: dict[str, dict[str, None]] = {}
        for row in rows:
            if field in row.signatures and field != "length_ratio":
                by_signature.setdefault(row.signatures[field], {})[row.name] = None
        for signature, names in by_signature.items():
            lines.append((COLUMNS[field][0], " ".join(names), signature))
    return lines


def score_cells(
    systems: Sequence[SystemResult],
) -> tuple[list[str], list[tuple[ScoreRow, list[str]]]]:
    """Return column titles, and each row with its cells: system, languages, scores.

    Args:
        systems: Scored systems; one of more rows each.
    """
    rows = [(s.name, row) for s in systems for row in (*s.means, *s.directions)]
    fields = used_columns([row for _, row in rows])
    header = ["system", "languages", *(COLUMNS[field][0] for field in fields)]
    cells = []
    for name, row in rows:
        numbers = [format_number(row.values[f], COLUMNS[f][1]) for f in fields]
        cells.append((row, [name, name_row(row), *numbers]))
    return header, cells


def make_translation_table(
    systems: Sequence[SystemResult], notes: Mapping[str, str]
) -> str:
    """Return the markdown table of all systems, settings and notes below it.

    Args:
        systems: Scored systems; one of more rows each.
        notes: Further lines `key: value`.
    """
    header, rows = score_cells(systems)
    cells = [[*found, str(row.utterances)] for row, found in rows]
    lines = []
    for system in systems:
        if system.trf_gap is not None:
            lines.append(f"TRFGap of {system.name}: {system.trf_gap:.1f} BLEU")
    for system in systems:
        empty = [f"{row.name} {row.empty}" for row in system.directions if row.empty]
        if empty:
            lines.append(f"empty hypotheses of {system.name}: {', '.join(empty)}")
    for metric, names, signature in collect_signatures(systems):
        lines.append(f"{metric} ({names}): `{signature}`")
    lines += [f"{key}: {value}" for key, value in notes.items()]
    listed = "".join(f"- {line}\n" for line in lines)
    return f"{format_table([*header, 'N'], cells, text_columns=2)}\n{listed}"


def make_significance_table(tests: Significance) -> str:
    """Return the markdown table of tests against the baseline.

    Args:
        tests: At least one direction.
    """
    fields = list(next(iter(tests.signatures.values())))
    header = ["system", "languages"]
    for field in fields:
        title = COLUMNS[field][0]
        header += [title, f"{title}, 95 %", "p"]
    cells = []
    for name, direction, scores in tests.rows():
        row = [name, direction]
        for field in fields:
            score = scores[field]
            row += [
                f"{score.score:.1f}",
                f"{score.mean:.1f} ± {score.ci:.1f}",
                format_number(score.p_value, 4),
            ]
        cells.append(row)
    by_signature: dict[tuple[str, str], list[str]] = {}
    for direction, signatures in tests.signatures.items():
        for field, signature in signatures.items():
            by_signature.setdefault((field, signature), []).append(direction)
    lines = [tests.describe()]
    for (field, signature), names in by_signature.items():
        lines.append(f"{COLUMNS[field][0]} ({' '.join(names)}): `{signature}`")
    listed = "".join(f"- {line}\n" for line in lines)
    return f"\n{format_table(header, cells, text_columns=2)}\n{listed}"
