"""The printed table of translation scores."""

from collections.abc import Mapping, Sequence

from espnet_samu.scoring.markdown import format_number, format_table
from espnet_samu.scoring.system_result import SystemResult

# Field of a row: column title, digits
COLUMNS = {
    "bleu": ("BLEU", 1),
    "chrf": ("chrF2", 1),
    "exact_match": ("exact match", 3),
    "slot_accuracy": ("slot accuracy", 3),
    "r1": ("R@1", 3),
    "length_ratio": ("length ratio", 3),
}
# Columns that are left out where no system has a value
OPTIONAL = ("slot_accuracy", "r1")
NAMED_MEMBERS = 5  # a mean over more rows gives their number only


def make_translation_table(
    systems: Sequence[SystemResult], notes: Mapping[str, str]
) -> str:
    """Return the markdown table of all systems, settings and notes below it.

    Args:
        systems: Scored systems; one of more rows each.
        notes: Further lines `key: value`.
    """
    rows = [(s.name, row) for s in systems for row in (*s.means, *s.directions)]
    fields = [
        field
        for field in COLUMNS
        if field not in OPTIONAL
        or any(row.values[field] is not None for _, row in rows)
    ]
    header = ["system", "languages", *(COLUMNS[field][0] for field in fields), "N"]
    cells = []
    for name, row in rows:
        label = row.name
        if row.members:
            few = len(row.members) <= NAMED_MEMBERS
            label += f" ({' '.join(row.members) if few else len(row.members)})"
        numbers = [format_number(row.values[f], COLUMNS[f][1]) for f in fields]
        cells.append([name, label, *numbers, str(row.utterances)])

    lines = []
    for system in systems:
        if system.trf_gap is not None:
            lines.append(f"TRFGap of {system.name}: {system.trf_gap:.1f} BLEU")
    for field in fields:
        by_signature: dict[str, dict[str, None]] = {}
        for _, row in rows:
            if field in row.signatures and field != "length_ratio":
                by_signature.setdefault(row.signatures[field], {})[row.name] = None
        for signature, names in by_signature.items():
            lines.append(f"{COLUMNS[field][0]} ({' '.join(names)}): `{signature}`")
    lines += [f"{key}: {value}" for key, value in notes.items()]
    listed = "".join(f"- {line}\n" for line in lines)
    return f"{format_table(header, cells, text_columns=2)}\n{listed}"
