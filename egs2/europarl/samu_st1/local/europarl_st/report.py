"""What was kept and what was left out, for the eye and for files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from europarl_st.tally import Tally

from espnet_samu.utils.atomic import atomic_write

# Segments of the test sets as others have counted them. Extending short segments and
# dropping duplicates, which they do, too, makes small differences.
PUBLISHED = {
    "test.de-en": 2631,
    "test.es-en": 1816,
    "test.fr-en": 1804,
    "test.it-en": 1686,
    "test.pt-en": 2286,
    "test.en-de": 1253,
    "test.en-es": 1267,
    "test.en-fr": 1214,
}


def table(tallies: Sequence[Tally]) -> str:
    """A line for each set, and below it what was left out or changed."""
    width = max(len(tally.name) for tally in tallies)
    lines = [f"{'set':<{width}}{'in corpus':>11}{'kept':>9}{'hours':>9}{'others':>8}"]
    for tally in tallies:
        others = PUBLISHED.get(tally.name, "-")
        lines.append(
            f"{tally.name:<{width}}{tally.seen:>11}{tally.kept:>9}{tally.hours:>9.2f}"
            f"{others:>8}"
        )
        lines += [f"    {n} {reason}" for reason, n in sorted(tally.reasons.items())]
    return "\n".join(lines)


def write_report(tallies: Sequence[Tally], root: Path, folder: Path) -> None:
    """Write ``counts.tsv``, ``segments.tsv`` and ``sets``.

    Args:
        tallies: Counts of the sets.
        root: Of the corpus.
        folder: Where the files go.
    """
    with atomic_write(folder / "counts.tsv") as out:
        out.write("set\tin_corpus\tkept\thours\treason\tcount\n")
        for tally in tallies:
            start = f"{tally.name}\t{tally.seen}\t{tally.kept}\t{tally.hours:.4f}"
            for reason, count in sorted(tally.reasons.items()) or [("-", 0)]:
                out.write(f"{start}\t{reason}\t{count}\n")
    with atomic_write(folder / "segments.tsv") as out:
        out.write("set\taction\treason\tfile\tline\tspeech\tstart\tend\n")
        for tally in tallies:
            for action, reason, s in tally.listed:
                place = f"{s.lst(root)}\t{s.line}\t{s.speech}"
                times = f"{s.start / 1000:.3f}\t{s.end / 1000:.3f}"
                out.write(f"{tally.name}\t{action}\t{reason}\t{place}\t{times}\n")
    with atomic_write(folder / "sets") as out:
        out.writelines(f"{tally.name}\n" for tally in tallies)
