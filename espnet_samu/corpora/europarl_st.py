"""Europarl-ST: the sets of a scenario's directions, and those of the distillation.

The corpus has whole interventions as audio, and for each direction the times of its
sentences. Each recording is decoded and checked once, and kept as FLAC of 16 kHz and
one channel; ``segments`` point into it. Everything is read and checked before a set is
written.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator

from espnet_samu.corpora.audio_store import AudioStore
from espnet_samu.corpora.counts import CorpusError
from espnet_samu.corpora.europarl_st_directions import (
    SPLITS,
    Corpus,
    Plan,
    languages,
    make_plan,
)
from espnet_samu.corpora.europarl_st_reader import Recordings, Segment
from espnet_samu.corpora.europarl_st_sets import DataSets
from espnet_samu.utils.atomic import atomic_write
from espnet_samu.utils.command import progress

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


MOST_FAULTS = 20  # that are listed


def prepare(args: argparse.Namespace) -> None:
    """Write all sets, and print their counts.

    Raises:
        ValueError: The options, the corpus or the machine are not as needed.
    """
    options = ("src_langs", "tgt_langs", "st_src_langs", "samu_langs")
    chosen = {name: languages(name, getattr(args, name)) for name in options}
    plan = make_plan(args.scenario, **chosen)
    corpus = Corpus(args.root, args.with_noisy)
    folder = args.output_dir / "local" / args.tag
    recordings = Recordings(args.root, AudioStore(args.clips_dir, jobs=args.nj))
    recordings.find(needed(read_all(corpus, plan)))
    sets = DataSets(corpus, plan, recordings, args.output_dir, args.tag)
    sets.write_distillation(args.samu_train_set, args.samu_valid_set)
    sets.write_directions()
    for (name, split), row in sets.counts.sets.items():
        row.published = PUBLISHED.get(f"{split}.{name}")
    sets.counts.save(folder)
    with atomic_write(folder / "sets") as out:
        out.writelines(f"{name}\n" for name in sets.names)
    print((folder / "counts.md").read_text("utf-8"))


def read_all(corpus: Corpus, plan: Plan) -> Iterator[Segment]:
    """Read all that the plan needs; the corpus keeps it.

    Raises:
        ValueError: Splits are malformed or not aligned: all of them, counted.
    """
    faults: list[CorpusError] = []
    directions = corpus.directions(plan.samu_langs)
    tested = [pair for pair in plan.tested if pair not in directions]
    needed = [(*pair, split) for pair in directions + tested for split in SPLITS]
    for src, tgt, split in progress(needed, len(needed), "splits"):
        try:
            yield from corpus.segments(src, tgt, split)
        except CorpusError as fault:
            faults.append(fault)
    if len(faults) > 1:
        listed = [f"{len(faults)} of {len(needed)} splits are faulty:"]
        listed += [str(fault) for fault in faults[:MOST_FAULTS]]
        if len(faults) > MOST_FAULTS:
            listed.append("...")
        raise ValueError("\n    ".join(listed))
    if faults:
        raise faults[0]


def needed(segments: Iterable[Segment]) -> list[Segment]:
    """One segment of each recording."""
    first: dict[str, Segment] = {}
    for segment in segments:
        first.setdefault(segment.recording, segment)
    return list(first.values())
