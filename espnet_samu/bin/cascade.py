#!/usr/bin/env python3
"""Translate test sets by published models: speech recognition, then translation."""

import argparse
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from espnet2.utils.types import str2bool, str_or_none

import espnet_samu
from espnet_samu.decoding.batch_decoder import Run, translation_store
from espnet_samu.decoding.cascade import Cascade
from espnet_samu.decoding.utterances import (
    Utterance,
    UtteranceReader,
    list_utterances,
)
from espnet_samu.utils.atomic import atomic_write
from espnet_samu.utils.command import log_to_stderr, run
from espnet_samu.utils.kaldi_io import (
    FAILED,
    check_data_files,
    read_text,
    write_failures,
    write_text,
)


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description="Translate data directories by a cascade of published models, to "
        "compare with: what stage 12 writes, so that stage 13 has it beside the model "
        "(--baseline_exp). Ended early, the same command goes on. Exit status 1: some "
        f"utterances failed, {FAILED} says why",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--asr",
        required=True,
        help="Speech recognition, hub id or folder, e.g. openai/whisper-large-v3",
    )
    parser.add_argument(
        "--mt",
        type=str_or_none,
        default=None,
        help="Translation, e.g. facebook/nllb-200-distilled-600M. Without it Whisper "
        "translates into English by itself",
    )
    parser.add_argument("--asr_revision", type=str_or_none, default=None)
    parser.add_argument("--mt_revision", type=str_or_none, default=None)
    parser.add_argument(
        "--data_dirs",
        nargs="+",
        required=True,
        type=Path,
        help="Folders of wav.scp, utt2lang and, where languages differ, utt2tgt_lang, "
        "e.g. dump/raw/test",
    )
    parser.add_argument(
        "--output_dir",
        required=True,
        type=Path,
        help="OUTPUT_DIR/<name of a folder>/text: EXP/<inference_tag> of the model "
        "that it stands beside, e.g. exp/cascade/decode_st_valid.acc.best",
    )
    parser.add_argument("--tgt_lang", default="en", help="Without utt2tgt_lang")
    parser.add_argument("--ngpu", type=int, default=0, help="0: CPU, 1: GPU")
    parser.add_argument(
        "--dtype", default="float32", choices=["float32", "bfloat16", "float16"]
    )
    parser.add_argument("--beam_size", type=int, default=5)
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--num_workers", type=int, default=1)
    parser.add_argument(
        "--allow_missing",
        type=str2bool,
        default=False,
        help=f"Exit status 0 though {FAILED} has utterances",
    )
    return parser


def by_language(
    data_dir: Path, tgt_lang: str
) -> tuple[list[Utterance], dict[str, list[Utterance]]]:
    """Return the utterances of a data directory, and the same by spoken language.

    Raises:
        FileNotFoundError: It has no wav.scp or utt2lang.
        ValueError: An utterance has no language.
    """
    wav_scp, utt2lang = data_dir / "wav.scp", read_text(data_dir / "utt2lang")
    has_targets = (data_dir / "utt2tgt_lang").exists()
    utterances = list_utterances(str(wav_scp), None, None if has_targets else tgt_lang)
    groups: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        if utterance.key not in utt2lang:
            raise ValueError(f"{data_dir}/utt2lang has no {utterance.key}")
        groups.setdefault(utt2lang[utterance.key], []).append(utterance)
    return utterances, groups


def kind_of(wav_scp: str) -> str:
    """Return the type of a wav.scp's files, as ESPnet names it."""
    with open(wav_scp, encoding="utf-8") as file:
        return "kaldi_ark" if ".ark:" in file.readline() else "sound"


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = get_parser()
    args = parser.parse_args(cmd)
    log_to_stderr()
    for name in ("beam_size", "batch_size"):
        if getattr(args, name) < 1:
            parser.error(f"--{name} {getattr(args, name)} must be 1 or more")
    sets = {}
    for data_dir in args.data_dirs:
        wav_scp = str(data_dir / "wav.scp")
        check_data_files([(wav_scp, "speech", kind_of(wav_scp))])
        sets[data_dir.name] = by_language(data_dir, args.tgt_lang)
    if len(sets) < len(args.data_dirs):
        parser.error("--data_dirs: two folders of one name would be one output")
    cascade = Cascade(
        args.asr,
        args.mt,
        args.asr_revision,
        args.mt_revision,
        "cuda" if args.ngpu else "cpu",
        args.dtype,
        args.beam_size,
    )
    for _, groups in sets.values():
        for language, group in groups.items():
            cascade.check(language, sorted({str(u.tgt_lang) for u in group}))
    failed = 0
    for data_dir in args.data_dirs:
        failed += translate(cascade, args, data_dir, *sets[data_dir.name])
    if failed and not args.allow_missing:
        raise SystemExit(1)


def translate(
    cascade: Cascade,
    args: argparse.Namespace,
    data_dir: Path,
    utterances: list[Utterance],
    groups: dict[str, list[Utterance]],
) -> int:
    """Translate a data directory, and write its files.

    Returns:
        Number of utterances that failed.
    """
    folder = args.output_dir / data_dir.name
    settings = {
        **cascade.identity,
        "beam_size": args.beam_size,
        "dtype": args.dtype,
        "espnet_samu": espnet_samu.__version__,
    }
    # A transcript depends on the language that the recogniser is told.
    failures: dict[str, str] = {}
    reports = {}
    best = {}
    wav_scp = str(data_dir / "wav.scp")
    kind = kind_of(wav_scp)
    for language, group in groups.items():
        store = translation_store(folder / ".parts", {**settings, "language": language})
        work = Run(partial(cascade.batch, src_lang=language), store, args.batch_size)
        work.run(
            group,
            lambda some: UtteranceReader(wav_scp, kind, some, None),
            args.num_workers,
        )
        failures.update(work.failures)
        reports[language] = work.report()
        best.update(
            {u.key: store[u.identity] for u in group if u.key not in work.failures}
        )
    done = [u.key for u in utterances if u.key in best]
    write_text(folder / "text", {key: best[key][0].text for key in done})
    if cascade.mt is not None:
        write_text(folder / "transcripts", {key: best[key][1].text for key in done})
    write_failures(folder, failures)
    with atomic_write(folder / "decode.json") as file:
        json.dump({"languages": reports, "settings": settings}, file, indent=2)
    print(f"{folder}/text: {len(done)} of {len(utterances)} utterances translated")
    return len(failures)


if __name__ == "__main__":
    run(main)
