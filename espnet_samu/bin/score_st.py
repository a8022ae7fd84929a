#!/usr/bin/env python3
"""Score translations of one or several systems."""

import argparse
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from espnet2.utils.types import str2bool, str_or_none

from espnet_samu.scoring.system_result import score_system
from espnet_samu.scoring.transfer_gap import read_groups
from espnet_samu.scoring.translation_table import make_translation_table
from espnet_samu.utils.atomic import atomic_write
from espnet_samu.utils.kaldi_io import read_text

NAMED = 5  # ids named in a message


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description="Score translations: sacreBLEU's BLEU and chrF2 (cased), exact "
        "match, slot accuracy, by source language and on average over supervised and "
        "zero-shot languages. Writes results.json and table.md, prints the table.",
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
        help="Name and hypotheses of a system; may be repeated",
    )
    parser.add_argument(
        "--train_langs",
        type=str_or_none,
        default=None,
        help="Source languages with translations in training, in one string; the "
        "others are zero-shot languages",
    )
    parser.add_argument(
        "--groups",
        type=str_or_none,
        default=None,
        help="TSV file `language group` with groups high, ..., low: means and TRFGap",
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


def parse_pairs(option: str, items: Sequence[str]) -> dict[str, str]:
    """Split items NAME=VALUE at the first `=`.

    Args:
        option: Name of the option, for messages.
        items: What was given.

    Raises:
        ValueError: For an item without name or `=`, and a name given twice.
    """
    table: dict[str, str] = {}
    for item in items:
        name, separator, value = item.partition("=")
        if not (name and separator):
            raise ValueError(f"--{option} must be NAME=VALUE: {item!r}")
        if name in table:
            raise ValueError(f"--{option} has '{name}' twice")
        table[name] = value
    return table


def name_ids(ids: Sequence[str]) -> str:
    """Return the number of ids and the first ones of them."""
    more = " ..." if len(ids) > NAMED else ""
    return f"{len(ids)} utterances ({' '.join(ids[:NAMED])}{more})"


def match_hypotheses(
    name: str,
    hyps: Mapping[str, str],
    refs: Mapping[str, str],
    allow_missing: bool = False,
    allow_extra: bool = False,
) -> dict[str, str]:
    """Return one hypothesis for every reference.

    Args:
        name: Name of the system, for messages.
        hyps: Hypotheses by utterance.
        refs: References by utterance.
        allow_missing: Count missing hypotheses as empty ones.
        allow_extra: Leave out hypotheses without a reference.

    Raises:
        ValueError: Naming ids that are missing or extra.
    """
    missing = [utt for utt in refs if utt not in hyps]
    extra = [utt for utt in hyps if utt not in refs]
    for ids, what, allowed, option in (
        (missing, "misses hypotheses", allow_missing, "allow_missing"),
        (extra, "has hypotheses without a reference", allow_extra, "allow_extra"),
    ):
        if ids and not allowed:
            raise ValueError(
                f"system '{name}' {what} for {name_ids(ids)}; see --{option}"
            )
        if ids:
            logging.warning(f"system '{name}' {what} for {name_ids(ids)}")
    return {utt: hyps.get(utt, "") for utt in refs}


def read_languages(path: str, refs: Mapping[str, str]) -> dict[str, str]:
    """Read a language for every reference.

    Args:
        path: Kaldi text file `utt_id lang`.
        refs: References by utterance.

    Raises:
        ValueError: Naming utterances of the references that the file misses.
    """
    langs = read_text(path, allow_empty=False)
    missing = [utt for utt in refs if utt not in langs]
    if missing:
        raise ValueError(f"{path} misses {name_ids(missing)}")
    return langs


def read_retrieval(path: str) -> dict[str, tuple[float, str]]:
    """Read R@1 of speech to text and its settings, by language.

    Args:
        path: retrieval.json of score_retrieval.
    """
    with open(path, encoding="utf-8") as f:
        scores = json.load(f)["scores"]
    return {
        s["lang"]: (s["r1"], s["signature"].replace(f"|lang:{s['lang']}|", "|"))
        for s in scores
        if s["direction"] == "speech-text"
    }


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command line.

    Args:
        cmd: Arguments; those of the process by default.
    """
    args = get_parser().parse_args(cmd)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    systems = parse_pairs("system", args.system)
    notes = parse_pairs("note", [item for items in args.note for item in items])
    retrieval = parse_pairs("retrieval", args.retrieval)
    for name in retrieval:
        if name not in systems:
            raise ValueError(f"--retrieval must name one of {[*systems]}: '{name}'")
    refs = read_text(args.ref, allow_empty=False)
    utt2lang = read_languages(args.utt2lang, refs)
    if args.utt2tgt_lang is None:
        utt2tgt_lang = dict.fromkeys(refs, args.tgt_lang)
    else:
        utt2tgt_lang = read_languages(args.utt2tgt_lang, refs)
    train_langs = None if args.train_langs is None else args.train_langs.split()
    groups = read_groups(args.groups) if args.groups else None
    slots = Path(args.slots).read_text(encoding="utf-8").split() if args.slots else []

    results = []
    for name, path in systems.items():
        hyps = match_hypotheses(
            name, read_text(path), refs, args.allow_missing, args.allow_extra
        )
        results.append(
            score_system(
                name,
                hyps,
                refs,
                utt2lang,
                utt2tgt_lang,
                train_langs,
                groups,
                slots,
                read_retrieval(retrieval[name]) if name in retrieval else None,
            )
        )
    table = make_translation_table(results, notes)
    with atomic_write(Path(args.output_dir) / "results.json") as f:
        content = {
            "systems": {result.name: result.to_dict() for result in results},
            "train_langs": train_langs,
            "notes": notes,
        }
        json.dump(content, f, indent=2, ensure_ascii=False)
        f.write("\n")
    with atomic_write(Path(args.output_dir) / "table.md") as f:
        f.write(table)
    print(table, end="")


if __name__ == "__main__":
    main()
