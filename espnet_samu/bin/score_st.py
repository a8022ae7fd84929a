#!/usr/bin/env python3
"""Score translations of one or several systems."""

import argparse
import json
import logging
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from espnet2.utils.types import str2bool, str_or_none

from espnet_samu.scoring.comet import CometModel, CometScores
from espnet_samu.scoring.directions import (
    Direction,
    parse_train_langs,
    split_directions,
)
from espnet_samu.scoring.inputs import (
    match_hypotheses,
    name_ids,
    parse_pairs,
    read_failed,
    read_retrieval,
    read_target_languages,
    read_values,
)
from espnet_samu.scoring.significance import DEFAULT_SAMPLES, paired_bootstrap
from espnet_samu.scoring.system_result import SystemResult, score_system
from espnet_samu.scoring.table import (
    make_significance_table,
    make_translation_table,
)
from espnet_samu.scoring.tokenizers import find_chosen, is_japanese
from espnet_samu.scoring.transfer_gap import (
    compare_groups,
    describe_groups,
    read_groups,
)
from espnet_samu.scoring.translation import SACREBLEU_METRICS, MetricSettings
from espnet_samu.text.coverage import RoundTrip
from espnet_samu.text.tokenizer_files import own_tokenizer
from espnet_samu.text.trim_report import (
    describe_ceiling,
    espnet_round_trip,
    score_ceiling,
)
from espnet_samu.utils.atomic import atomic_write
from espnet_samu.utils.command import run
from espnet_samu.utils.kaldi_io import read_text
from espnet_samu.utils.safe_reading import read_yaml


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description="Score translations: sacreBLEU's BLEU, chrF2 and TER (cased, with "
        "punctuation), exact match, slot accuracy, COMET, by translation direction and "
        "on average over supervised and zero-shot languages and resource groups: "
        "means are macro means, every direction counts the same. Writes results.json "
        "and table.md, prints the table.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--ref", required=True, help="References, `utt_id sentence...`")
    parser.add_argument("--utt2lang", required=True, help="Source languages")
    parser.add_argument(
        "--utt2tgt_lang",
        type=str_or_none,
        default=None,
        help="Target languages by utterance, instead of --tgt_lang",
    )
    parser.add_argument(
        "--tgt_lang", default="en", help="Target language; chooses the tokenizer"
    )
    parser.add_argument(
        "--system",
        action="append",
        required=True,
        metavar="NAME=TEXT",
        help="Name and hypotheses of a system; may be repeated. What failed.scp beside "
        "them names has failed in decoding, and counts as empty",
    )
    parser.add_argument(
        "--metrics",
        default="bleu,chrf",
        help=f"Metrics, separated by commas, of {','.join(SACREBLEU_METRICS)}; TER is "
        "slow",
    )
    parser.add_argument(
        "--ja_tokenizer",
        choices=("ja-mecab", "char"),
        default="ja-mecab",
        help="For BLEU of Japanese: words of MeCab, as sacreBLEU's command does "
        "(pip install 'sacrebleu[ja]'), or characters",
    )
    parser.add_argument(
        "--tokenizer",
        action="append",
        default=[],
        metavar="LANG=NAME",
        help="sacreBLEU's tokenizer for another target language, instead of zh for "
        "Chinese, ko-mecab for Korean, 13a; needed for other languages without blanks "
        "between words, and for codes that are not known",
    )
    parser.add_argument(
        "--baseline",
        type=str_or_none,
        default=None,
        metavar="NAME",
        help="System that the others are tested against: two-sided paired bootstrap, "
        "95 %% intervals (those of `sacrebleu --paired-bs`) and p-values by direction; "
        "the seed is that of the environment variable SACREBLEU_SEED",
    )
    parser.add_argument(
        "--paired_bs_n",
        type=int,
        default=DEFAULT_SAMPLES,
        help="Number of resampled sets, with --baseline",
    )
    parser.add_argument(
        "--comet",
        type=str_or_none,
        default=None,
        metavar="MODEL",
        help="COMET's model: hub name or checkpoint (pip install unbabel-comet); "
        "needs --src",
    )
    parser.add_argument(
        "--src",
        type=str_or_none,
        default=None,
        help="Transcripts in the source language, for --comet",
    )
    parser.add_argument("--ngpu", type=int, default=0, help="GPUs, for --comet")
    parser.add_argument(
        "--train_langs",
        type=str_or_none,
        default=None,
        help="What has translations in training, in one string: source languages "
        "(fr: into every target language) or directions (fr-en; fr:en is the same); "
        "all else is zero-shot",
    )
    parser.add_argument(
        "--groups",
        type=str_or_none,
        default=None,
        help="TSV file of source languages (or directions, fr-en), "
        "`group<TAB>language language ...`, or lines `language<TAB>group` below such a "
        "header: means by group; with groups high and low, TRFGap",
    )
    parser.add_argument(
        "--slots",
        type=str_or_none,
        default=None,
        help="Words for the slot accuracy, one a line",
    )
    parser.add_argument(
        "--retrieval",
        action="append",
        default=[],
        metavar="NAME=JSON",
        help="retrieval.json of score_retrieval for a system; may be repeated",
    )
    parser.add_argument(
        "--ceiling",
        action="append",
        default=[],
        metavar="NAME=CONFIG",
        help="config.yaml of a system, to print the ceiling of its vocabulary below "
        "the table: the score of references after encoding and decoding; may be "
        "repeated",
    )
    parser.add_argument(
        "--note",
        action="append",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="Lines below the table; may be repeated",
    )
    parser.add_argument(
        "--allow_missing",
        type=str2bool,
        default=False,
        help="Count missing hypotheses as empty ones instead of failing",
    )
    parser.add_argument(
        "--allow_extra",
        type=str2bool,
        default=False,
        help="Leave out hypotheses without a reference instead of failing",
    )
    parser.add_argument("--output_dir", required=True, help="Output folder")
    return parser


def make_settings(args: argparse.Namespace) -> MetricSettings:
    """Return the settings of the scores.

    Args:
        args: Command line.

    Raises:
        ValueError: For Japanese in --tokenizer, and as `MetricSettings`.
    """
    tokenizers = parse_pairs("tokenizer", args.tokenizer)
    for lang in tokenizers:
        if is_japanese(lang):
            raise ValueError(f"--tokenizer cannot have '{lang}': see --ja_tokenizer")
    return MetricSettings(
        metrics=tuple(args.metrics.split(",")),
        tokenizers={"ja": args.ja_tokenizer, **tokenizers},
        slot_words=(
            Path(args.slots).read_text(encoding="utf-8-sig").split()
            if args.slots
            else ()
        ),
    )


def check_systems(
    args: argparse.Namespace, systems: Mapping[str, str], **files: Mapping[str, str]
) -> None:
    """Check that options name systems and come with those that they need.

    Args:
        args: Command line.
        systems: File of every system.
        files: Files of some systems, by the name of the option.

    Raises:
        ValueError: Naming option and value.
    """
    for option, names in files.items():
        for name in names:
            if name not in systems:
                raise ValueError(f"--{option} must name one of {[*systems]}: '{name}'")
    if args.baseline is not None:
        if args.baseline not in systems:
            raise ValueError(
                f"--baseline must name one of {[*systems]}: '{args.baseline}'"
            )
        if len(systems) < 2:
            raise ValueError("--baseline needs another --system to compare with it")
    if args.comet is not None and args.src is None:
        raise ValueError("--comet needs --src")


def find_unused(
    args: argparse.Namespace,
    results: Sequence[SystemResult],
    directions: Mapping[str, Direction],
) -> list[str]:
    """Return the options that no figure depends on, each with the reason.

    Args:
        args: Command line.
        results: Scores of all systems.
        directions: What was scored.
    """
    unused = []
    for name in parse_pairs("retrieval", args.retrieval):
        (result,) = (result for result in results if result.name == name)
        if all(row.values["r1"] is None for row in result.directions):
            unused.append(f"--retrieval {name}: it has no R@1 of a scored direction")
    if args.slots and all(
        row.values["slot_accuracy"] is None for r in results for row in r.directions
    ):
        unused.append(f"--slots {args.slots}: no reference has one of its words")
    targets = {direction.target or "" for direction in directions.values()}
    for lang, name in parse_pairs("tokenizer", args.tokenizer).items():
        if not any(find_chosen(target, {lang: name}) for target in targets):
            unused.append(f"--tokenizer {lang}={name}: no translation is into {lang}")
    if args.train_langs and all(
        row.name != "supervised" for result in results for row in result.means
    ):
        unused.append(f"--train_langs {args.train_langs}: none of them is scored")
    if args.baseline is None and args.paired_bs_n != DEFAULT_SAMPLES:
        unused.append("--paired_bs_n: there is no --baseline")
    return unused


def read_vocabulary(config: str) -> RoundTrip:
    """Return what maps texts to those that a system's vocabulary makes of them.

    Args:
        config: config.yaml of its training.
    """
    options = read_yaml(config)
    return espnet_round_trip(
        options["token_type"],
        own_tokenizer(options.get("bpemodel"), Path(config).parent),
        options["token_list"],
    )


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("sacrebleu").setLevel(logging.WARNING)
    systems = parse_pairs("system", args.system)
    notes = parse_pairs("note", [item for items in args.note for item in items])
    retrieval = parse_pairs("retrieval", args.retrieval)
    ceilings = parse_pairs("ceiling", args.ceiling)
    check_systems(args, systems, retrieval=retrieval, ceiling=ceilings)
    settings = make_settings(args)
    comet_model = CometModel(args.comet, ngpu=args.ngpu) if args.comet else None

    refs = read_text(args.ref, allow_empty=False)
    utt2lang = read_values(args.utt2lang, refs)
    utt2tgt_lang = read_target_languages(args.utt2tgt_lang, args.tgt_lang, refs)
    directions = split_directions(refs, utt2lang, utt2tgt_lang)
    for lang in {direction.target: None for direction in directions.values()}:
        # So that a mistake shows now.
        settings.make_metrics(lang)  # type: ignore[arg-type]  # is known
    train_langs = (
        None
        if args.train_langs is None
        else parse_train_langs(args.train_langs, directions.values())
    )
    groups = read_groups(args.groups) if args.groups else None
    remarks = {}
    if groups:
        lacking = compare_groups(directions, groups)
        remarks["means"] = describe_groups(groups, lacking)
    failed = {name: read_failed(path, refs) for name, path in systems.items()}
    hyps = {
        name: match_hypotheses(
            name,
            read_text(path),
            refs,
            args.allow_missing,
            args.allow_extra,
            failed[name],
        )
        for name, path in systems.items()
    }
    failed = {name: ids for name, ids in failed.items() if ids}
    if failed:
        notes["failed in decoding, counted as empty"] = "; ".join(
            f"{name}: {name_ids(ids)}" for name, ids in failed.items()
        )

    comet: dict[str, CometScores] = {}
    if comet_model is not None:
        sources = read_values(args.src, refs)
        comet = {name: comet_model.score(sources, hyps[name], refs) for name in hyps}
    results = [
        score_system(
            name,
            hyps[name],
            refs,
            directions,
            train_langs,
            groups,
            settings,
            read_retrieval(retrieval[name]) if name in retrieval else None,
            comet.get(name),
        )
        for name in systems
    ]
    unused = find_unused(args, results, directions)
    for option in unused:
        logging.warning(f"had no effect: {option}")
    if unused:
        remarks["had no effect"] = "; ".join(unused)
    for name, config in ceilings.items():
        write = read_vocabulary(config)
        ceiling = score_ceiling(write, refs, utt2tgt_lang, settings.tokenizers)
        notes[f"ceiling of {name}, the references through its vocabulary"] = (
            describe_ceiling(ceiling)
        )
    table = make_translation_table(results, {**remarks, **notes})
    content = {
        "systems": {result.name: result.to_dict() for result in results},
        "train_langs": args.train_langs and args.train_langs.replace(",", " ").split(),
        "had_no_effect": unused,
        "groups": groups,
        "failed": failed,
        "notes": notes,
    }
    if args.baseline is not None:
        tests = paired_bootstrap(
            args.baseline, hyps, refs, directions, settings, args.paired_bs_n
        )
        table += make_significance_table(tests)
        content["significance"] = tests.to_dict()
    words = sys.argv[1:] if cmd is None else cmd
    content["command"] = f"python -m espnet_samu.bin.score_st {shlex.join(words)}"
    with atomic_write(Path(args.output_dir) / "results.json") as f:
        json.dump(content, f, indent=2, ensure_ascii=False)
        f.write("\n")
    with atomic_write(Path(args.output_dir) / "table.md") as f:
        f.write(table)
    print(table, end="")


if __name__ == "__main__":
    run(main)
