#!/usr/bin/env python3
"""Write a report of translation scores: one HTML file that needs no other."""

import argparse
import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from espnet2.utils.types import str_or_none

from espnet_samu.report.curves import make_curve_section
from espnet_samu.report.examples import draw_examples
from espnet_samu.report.page import Section, make_page
from espnet_samu.report.results import (
    GroupMeans,
    PublishedSystem,
    Results,
    collect_means,
    read_published,
    read_results,
)
from espnet_samu.report.sections import (
    make_bleu_charts,
    make_example_section,
    make_group_section,
    make_head,
    make_image_section,
    make_length_charts,
    make_score_section,
    make_settings_section,
    make_significance_section,
)
from espnet_samu.scoring.directions import split_directions
from espnet_samu.scoring.inputs import (
    parse_pairs,
    read_target_languages,
    read_values,
)
from espnet_samu.utils.atomic import atomic_write
from espnet_samu.utils.command import run
from espnet_samu.utils.kaldi_io import read_text
from espnet_samu.utils.training_log import EpochResults
from espnet_samu.utils.training_log import read_results as read_epochs


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description="Write a report of what score_st scored, as one HTML file without "
        "outside files or scripts: charts by language and group beside published "
        "scores, tables, significance, learning curves, examples, figures, signatures "
        "and commands.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--results", required=True, help="results.json of score_st")
    parser.add_argument("--output", required=True, help="HTML file to write")
    parser.add_argument("--title", default="Speech translation", help="Its title")
    parser.add_argument(
        "--published",
        type=str_or_none,
        default=None,
        help="TSV file of published BLEU: first line `system`, then directions (fr-en; "
        "or source languages, which are taken to be into our target; groups, average), "
        "every other line a system; - for none; means are over the directions that "
        "have a column",
    )
    parser.add_argument(
        "--note",
        action="append",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="Further settings below the title; may be repeated",
    )
    parser.add_argument(
        "--figure",
        action="append",
        default=[],
        metavar="NAME=PNG",
        help="Image to embed, e.g. a heat map of score_retrieval; NAME is "
        "its caption; may be repeated",
    )
    parser.add_argument(
        "--training",
        action="append",
        default=[],
        metavar="NAME=LOG",
        help="train.log of a training whose learning curves to show; may be repeated",
    )
    parser.add_argument(
        "--command",
        action="append",
        default=[],
        metavar="NAME=TEXT",
        help="Command line that made the figure of that name, or anything else (the "
        "model, ...); may be repeated",
    )
    examples = parser.add_argument_group("examples")
    examples.add_argument(
        "--system",
        action="append",
        default=[],
        metavar="NAME=TEXT",
        help="Hypotheses of a system of the results; may be repeated",
    )
    examples.add_argument(
        "--ref", type=str_or_none, default=None, help="References, needed with --system"
    )
    examples.add_argument(
        "--utt2lang",
        type=str_or_none,
        default=None,
        help="Source languages, needed with --system",
    )
    examples.add_argument(
        "--utt2tgt_lang",
        type=str_or_none,
        default=None,
        help="Target languages by utterance, instead of --tgt_lang",
    )
    examples.add_argument("--tgt_lang", default="en", help="Target language")
    examples.add_argument(
        "--src", type=str_or_none, default=None, help="Transcripts, if there are any"
    )
    examples.add_argument(
        "--examples", type=int, default=3, help="Number of examples for every direction"
    )
    examples.add_argument("--seed", type=int, default=1, help="Seed of the draw")
    return parser


def make_examples(args: argparse.Namespace, results: Results) -> Section | None:
    """Return the examples, None without systems to take them from.

    Args:
        args: Command line.
        results: What was scored.

    Raises:
        ValueError: For a system that was not scored, files that are missing.
    """
    paths = parse_pairs("system", args.system)
    scored = [system.name for system in results.systems]
    for name in paths:
        if name not in scored:
            raise ValueError(f"--system must name some of {scored}: '{name}'")
    if not paths or args.examples < 1:
        return None
    for option in ("ref", "utt2lang"):
        if getattr(args, option) is None:
            raise ValueError(f"--system needs --{option}")
    refs = read_text(args.ref, allow_empty=False)
    directions = split_directions(
        refs,
        read_values(args.utt2lang, refs),
        read_target_languages(args.utt2tgt_lang, args.tgt_lang, refs),
    )
    examples = draw_examples(
        directions,
        refs,
        read_text(args.src) if args.src else {},
        {name: read_text(path) for name, path in paths.items()},
        args.examples,
        args.seed,
    )
    return make_example_section(examples, args.seed)


def check_published(
    results: Results, published: Sequence[PublishedSystem], means: GroupMeans
) -> None:
    """Warn of published figures that cannot be shown.

    Args:
        results: What was scored.
        published: Systems to show beside.
        means: Means of all systems.
    """
    directions = results.directions().values()
    if any(direction.target is None for direction in directions):
        logging.warning(
            "--results are of an earlier version and name no target languages: "
            "published figures of directions (fr-en) are left out"
        )
    for system in published:
        found = [system.find(direction) for direction in directions]
        if not means.scores[system.name] and not any(v is not None for v in found):
            logging.warning(
                f"--published: '{system.name}' has no figure of what was scored"
            )


def read_trainings(options: Sequence[str]) -> dict[str, list[EpochResults]]:
    """Return the results of each training's epochs; one without any is left out.

    Args:
        options: ``NAME=LOG``.
    """
    trainings = {}
    for name, log in parse_pairs("training", options).items():
        results = read_epochs(Path(log))
        if results:
            trainings[name] = results
        else:
            logging.warning(f"--training '{name}': no epoch has results in {log}")
    return trainings


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    notes = parse_pairs("note", [item for items in args.note for item in items])
    figures = parse_pairs("figure", args.figure)
    commands = parse_pairs("command", args.command)
    results = read_results(args.results)
    published = read_published(args.published) if args.published else []
    means = collect_means(results, published)
    if published:
        check_published(results, published, means)
    words = shlex.join(sys.argv[1:] if cmd is None else cmd)
    own = f"python -m espnet_samu.bin.report {words}"
    made_by = [results.command, own]

    sections = [make_bleu_charts(results, published, means, made_by)]
    if means.members:
        sections.append(make_group_section(means, published))
    sections.append(make_length_charts(results, made_by))
    sections.append(make_score_section(results))
    if results.significance is not None:
        sections.append(make_significance_section(results.significance))
    trainings = read_trainings(args.training)
    if trainings:
        sections.append(make_curve_section(trainings, made_by[1:]))
    if figures:
        for name in figures:
            if name not in commands:
                logging.warning(f"--figure '{name}' has no --command of that name")
        sections.append(make_image_section(figures, commands))
    examples = make_examples(args, results)
    if examples is not None:
        sections.append(examples)
    commands = {"scores": results.command, "report": own, **commands}
    sections.append(make_settings_section(results, commands))
    page = make_page(args.title, make_head(results, notes), sections)
    with atomic_write(Path(args.output)) as f:
        f.write(page)
    logging.info(f"wrote {args.output}")


if __name__ == "__main__":
    run(main)
