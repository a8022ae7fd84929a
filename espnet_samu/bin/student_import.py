#!/usr/bin/env python3
"""Make an experiment folder of another toolkit's student, without training."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from espnet2.utils.types import str_or_none

from espnet_samu.checkpoint import fairseq, speechbrain
from espnet_samu.checkpoint.model_import import write_student
from espnet_samu.utils.atomic import AtomicFolder
from espnet_samu.utils.command import log_to_stderr, run


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        description="Make an experiment folder (config.yaml, imported.pth) of a "
        "published semantic speech encoder, for samu_st.sh --samu_model: SENSE, or "
        "another student of SpeechBrain's recipes; SAMU-XLSR of fairseq",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--from",
        dest="source",
        required=True,
        help="Hub id or folder of a checkpoint of SpeechBrain (wav2vec2.ckpt, "
        "model.ckpt), or a file of fairseq (.pt)",
    )
    parser.add_argument(
        "--output_dir", required=True, help="Output folder, replaced as a whole"
    )
    parser.add_argument(
        "--revision",
        type=str_or_none,
        default=None,
        help="Branch, tag or commit on the hub",
    )
    parser.add_argument(
        "--encoder_config",
        type=str_or_none,
        default=None,
        help="Hub id or folder with the config.json of the model that a student of "
        f"SpeechBrain started from; default: {speechbrain.W2V_BERT}",
    )
    return parser


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = get_parser()
    args = parser.parse_args(cmd)
    log_to_stderr()
    output = AtomicFolder(args.output_dir, "student_import", [args.source])
    if not Path(args.source).is_file():
        student = speechbrain.read_student(
            args.source, args.revision, args.encoder_config or speechbrain.W2V_BERT
        )
    elif args.revision is not None or args.encoder_config is not None:
        parser.error(
            "--revision and --encoder_config are for a folder or hub id; "
            f"{args.source} is a file"
        )
    else:
        speechbrain.check_no_part(args.source)
        student = fairseq.read_student(args.source)
    at = "" if args.revision is None else f" at {args.revision}"
    write_student(student, f"{args.source}{at}", output)


if __name__ == "__main__":
    run(main)
