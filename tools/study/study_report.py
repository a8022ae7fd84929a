#!/usr/bin/env python3
"""Write what a study found: every figure, tables, and one HTML page."""

import argparse
import json
import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from espnet2.utils.types import str_or_none

from espnet_samu.scoring.inputs import parse_pairs
from espnet_samu.utils.atomic import atomic_write
from espnet_samu.utils.command import run
from espnet_samu.utils.kaldi_io import read_text
from study.arm_runs import collect_arms
from study.pages import make_html, make_markdown
from study.plan import read_plan
from study.run_file import read_runs
from study.space_sections import read_embeddings
from study.study_results import StudyOptions, analyse


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description="Write what a study found: results.json (every figure), RESULTS.md "
        "(tables) and report.html (one page without outside files or scripts). Runs "
        "that failed or are missing are listed; none is left out.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--runs", required=True, help="Folder of <arm>/seed<N>.json")
    parser.add_argument("--arms", required=True, help="Plan of the study, arms.yaml")
    parser.add_argument("--out", required=True, help="Output folder")
    parser.add_argument(
        "--supervised", default="es,fr", help="Languages with translations in training"
    )
    parser.add_argument("--zero_shot", default="it,ru", help="Languages without")
    parser.add_argument(
        "--samples", type=int, default=10000, help="Number of resampled sets"
    )
    parser.add_argument("--seed", type=int, default=1, help="Of the resampled sets")
    parser.add_argument(
        "--seen_seeds",
        default="",
        help="Seeds with scores that were known before the comparisons were "
        "registered, say 1,2: the comparisons are given without them, too",
    )
    parser.add_argument(
        "--floor",
        type=str_or_none,
        default=None,
        help="Kaldi text file: translations of the template floor",
    )
    parser.add_argument(
        "--slots",
        type=str_or_none,
        default=None,
        help="Slot words, one a line, for the slot accuracy of --floor",
    )
    page = parser.add_argument_group("page")
    page.add_argument("--title", default="Study", help="Its title")
    page.add_argument(
        "--audio",
        action="append",
        default=[],
        metavar="WAV_SCP",
        help="wav.scp of sound files, for players at the random translations; may be "
        "repeated",
    )
    page.add_argument(
        "--credit",
        default="",
        help="Whose recordings --audio has and under which licence, shown beside them",
    )
    page.add_argument(
        "--src", type=str_or_none, default=None, help="Kaldi text file of transcripts"
    )
    page.add_argument(
        "--embeddings",
        action="append",
        default=[],
        metavar="NAME=SCP",
        help="embed.scp of samu_embed for the first test set, say 'before "
        "distillation=...' and 'after distillation=...'; may be repeated",
    )
    page.add_argument(
        "--command",
        action="append",
        default=[],
        metavar="NAME=TEXT",
        help="Command line that made the runs (NAME: runs), the embeddings of that "
        "name, or anything else; may be repeated",
    )
    page.add_argument(
        "--note",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="Further fact below the answer; may be repeated",
    )
    return parser


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    words = shlex.join(sys.argv[1:] if cmd is None else cmd)
    own = f"python -m study.study_report {words}"
    scps = parse_pairs("embeddings", args.embeddings)
    commands = parse_pairs("command", args.command)
    notes = parse_pairs("note", args.note)
    if args.audio and not args.credit:
        raise ValueError("--audio needs --credit: a page with clips passes them on")

    plan = read_plan(args.arms)
    main_set = plan.sets.tests[0]
    arms = collect_arms(plan.arms, read_runs(args.runs))
    options = StudyOptions(
        supervised=tuple(args.supervised.split(",")),
        zero_shot=tuple(args.zero_shot.split(",")),
        comparisons=plan.comparisons,
        samples=args.samples,
        seed=args.seed,
        seen_seeds=tuple(int(seed) for seed in args.seen_seeds.split(",") if seed),
        main_set=main_set,
        baselines=plan.baselines,
        pairs=plan.pairs,
        metrics=plan.metrics,
        shown=plan.shown,
    )
    results = analyse(
        arms,
        options,
        read_text(args.floor) if args.floor else None,
        Path(args.slots).read_text(encoding="utf-8").split() if args.slots else (),
    )
    utterances = next(
        run.utterances[main_set]
        for arm in arms
        for run in arm.finished.values()
        if main_set in run.utterances
    )
    embeddings = [read_embeddings(name, scp, utterances) for name, scp in scps.items()]
    sounds: dict[str, str] = {}
    for scp in args.audio:
        sounds |= read_text(scp, allow_empty=False)
    page = make_html(
        results,
        args.title,
        embeddings,
        read_text(args.src) if args.src else {},
        sounds,
        args.credit,
        commands,
        notes,
        own,
    )
    out = Path(args.out)
    with atomic_write(out / "results.json") as f:
        json.dump({"command": own, **results.to_dict()}, f, indent=1, allow_nan=False)
        f.write("\n")
    with atomic_write(out / "RESULTS.md") as f:
        f.write(make_markdown(results, notes, own))
    with atomic_write(out / "report.html") as f:
        f.write(page)
    logging.info(f"wrote results.json, RESULTS.md and report.html to {out}")


if __name__ == "__main__":
    run(main)
