#!/usr/bin/env python3
"""Choose the utterances of a distillation and count those that are dropped."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from espnet2.utils.types import str2bool, str_or_none

from espnet_samu.corpora.selection import language_rows, select
from espnet_samu.utils.atomic import atomic_write
from espnet_samu.utils.command import run


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description="Choose the utterances that have audio, a text and its sentence "
        "embedding: OUTPUT_DIR/speech_shape (samples at 16 kHz). Those that are "
        "dropped go to dropped.tsv with the reason, counts to languages.tsv.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--data_dir", required=True, help="E.g. dump/raw/train")
    parser.add_argument(
        "--source_dir",
        type=str_or_none,
        default=None,
        help="E.g. data/train: what stages 2-4 removed is counted, too",
    )
    parser.add_argument(
        "--text", required=True, help="File in data_dir whose sentences were embedded"
    )
    parser.add_argument("--embed", required=True, help="The teacher's embed.scp")
    parser.add_argument(
        "--check_audio",
        type=str2bool,
        default=False,
        help="Read the audio: drop what is silent, not finite, unreadable, not at "
        "16 kHz or not of one channel",
    )
    parser.add_argument("--nj", type=int, default=1, help="Threads that read audio")
    parser.add_argument("--output_dir", required=True, help="Output folder")
    return parser


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command line.

    Args:
        cmd: Arguments; those of the process by default.
    """
    args = get_parser().parse_args(cmd)
    data_dir, output_dir = Path(args.data_dir), Path(args.output_dir)
    selection = select(
        data_dir,
        Path(args.text),
        Path(args.embed),
        Path(args.source_dir) if args.source_dir else None,
        args.check_audio,
        args.nj,
    )
    rows = language_rows(data_dir.name, selection.samples, data_dir / "utt2lang")
    with atomic_write(output_dir / "speech_shape") as f:
        f.writelines(f"{utt} {n}\n" for utt, n in selection.samples.items())
    with atomic_write(output_dir / "dropped.tsv") as f:
        f.writelines(f"{utt}\t{why}\n" for utt, why in selection.dropped.items())
    with atomic_write(output_dir / "languages.tsv") as f:
        f.writelines(f"{row}\n" for row in rows)
    print("set, language, utterances, hours:")
    print("\n".join(rows))
    print(f"{data_dir}: {len(selection.samples)} utterances are used")
    for why, n in selection.reasons().items():
        print(f"{data_dir}: {n} utterances are dropped: {why}")


if __name__ == "__main__":
    run(main)
