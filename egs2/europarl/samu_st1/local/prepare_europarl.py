"""Make Kaldi data directories of Europarl-ST v1.1.

The corpus has whole interventions as audio, and for each direction the times of its
sentences. Each recording is decoded and checked once, and kept as FLAC of 16 kHz and
one channel; ``segments`` point into it. Everything is read and checked before a set is
written. Prints a table of counts.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from europarl_st.corpus import SPLITS, Corpus
from europarl_st.corpus_error import CorpusError
from europarl_st.data_sets import DataSets
from europarl_st.plan import SCENARIOS, Plan, languages, make_plan
from europarl_st.recordings import Recordings
from europarl_st.report import table, write_report
from europarl_st.segment import Segment

from espnet_samu.data.audio import AudioStore
from espnet_samu.utils.command import progress, run

MOST_FAULTS = 20  # that are listed


def str2bool(value: str) -> bool:
    """Read true or false."""
    if value not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"'{value}' is neither true nor false")
    return value == "true"


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


def prepare(args: argparse.Namespace) -> str:
    """Write all sets.

    Returns:
        The table of counts.

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
    write_report(sets.tallies, args.root, folder)
    return table(sets.tallies)


def needed(segments: Iterable[Segment]) -> list[Segment]:
    """One segment of each recording."""
    first: dict[str, Segment] = {}
    for segment in segments:
        first.setdefault(segment.recording, segment)
    return list(first.values())


def get_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="Holds <src>/audios")
    parser.add_argument("--output_dir", type=Path, default=Path("data"))
    parser.add_argument("--scenario", choices=SCENARIOS, default="x2en")
    parser.add_argument("--tag", default="x2en", help="Names the combined sets")
    parser.add_argument("--src_langs", default="", help="Languages spoken (all)")
    parser.add_argument("--tgt_langs", default="", help="Of the translations")
    parser.add_argument("--st_src_langs", default="", help="Trained on: zeroshot")
    parser.add_argument("--samu_langs", default="", help="Of the distillation (all)")
    parser.add_argument("--samu_train_set", default="samu_train")
    parser.add_argument("--samu_valid_set", default="samu_dev")
    parser.add_argument("--with_noisy", type=str2bool, default=False)
    parser.add_argument("--clips_dir", type=Path, default=Path("dump/clips"))
    parser.add_argument("--nj", type=int, default=2, help="Threads")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    args = get_parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    print(prepare(args))


if __name__ == "__main__":
    run(main)
