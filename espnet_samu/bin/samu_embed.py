#!/usr/bin/env python3
"""Write the utterance embeddings of a distilled speech encoder."""

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from espnet2.utils.types import str2bool, str_or_none

import espnet_samu
from espnet_samu.decoding.batch_decoder import Run
from espnet_samu.decoding.utterances import Utterance, UtteranceReader, source_of
from espnet_samu.speech2embedding import Speech2Embedding
from espnet_samu.tasks.samu import SAMUTask
from espnet_samu.train.encoding import close_frames_cache, keep_frames
from espnet_samu.utils.command import log_to_stderr, run
from espnet_samu.utils.kaldi_io import (
    FAILED,
    check_data_files,
    read_text,
    write_failures,
    write_vectors,
)
from espnet_samu.utils.resume_store import ResumeStore, file_identity
from espnet_samu.utils.torch_modules import MODEL_DTYPES


def embed(
    speech2embedding: Speech2Embedding,
    wav_scp: str,
    output_dir: str,
    settings: Mapping[str, Any],
    batch_size: int,
    num_workers: int,
) -> int:
    """Embed the utterances of a wav.scp to output_dir/embed.{ark,scp}.

    Those that cannot be read or embedded are left out, and stand in
    output_dir/failed.scp with their reasons.

    Args:
        speech2embedding: The student.
        wav_scp: ``PATH,TYPE``, the type as ESPnet names it: sound, kaldi_ark.
        output_dir: Made if missing.
        settings: What the embeddings depend on, besides the recordings: what a killed
            run has embedded with the same ones is not embedded again.
        batch_size: Utterances that are embedded together.
        num_workers: Of the data loader.

    Returns:
        Number of utterances that failed.

    Raises:
        ValueError: wav_scp names a command.
    """
    path, _, kind = wav_scp.partition(",")
    kind = kind or "sound"
    check_data_files([(path, "speech", kind)])
    utterances = [
        Utterance(key, source_of(file, None), None)
        for key, file in read_text(path).items()
    ]
    preprocess = SAMUTask.build_preprocess_fn(speech2embedding.samu_train_args, False)
    folder = Path(output_dir)
    vectors = ResumeStore(folder / ".parts", settings)
    work = Run(
        lambda speeches, _: [*speech2embedding.batch(speeches).float().numpy()],
        vectors,
        batch_size,
    )
    work.run(
        utterances,
        lambda some: UtteranceReader(path, kind, some, preprocess),
        num_workers,
    )
    write_failures(folder, work.failures)
    done = [u for u in utterances if u.key not in work.failures]
    scp = write_vectors(folder, ((u.key, vectors[u.identity]) for u in done))
    vectors.remove()
    logging.info(
        f"{scp}: {len(done)} utterances, {work.seconds_of_audio / 60:.1f} minutes "
        f"of speech in {work.seconds:.1f} s, real-time factor "
        f"{work.report()['real_time_factor']:.4f}"
    )
    if work.failures:
        logging.error(
            f"{len(work.failures)} of {len(utterances)} utterances failed, see "
            f"{folder / FAILED}"
        )
    return len(work.failures)


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        description="Write the utterance embeddings of a distilled speech encoder to "
        "OUTPUT_DIR/embed.ark and embed.scp. Exit status 1: some utterances failed, "
        f"OUTPUT_DIR/{FAILED} says why",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--samu_train_config",
        type=str_or_none,
        default=None,
        help="config.yaml of the distillation; default: beside the model file",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--samu_model_file", type=str, help="Checkpoint")
    source.add_argument(
        "--model_tag",
        type=str,
        help="In place of a checkpoint: folder of samu_export, its zip file or hub tag",
    )
    parser.add_argument(
        "--wav_scp",
        required=True,
        action="append",
        help="PATH,TYPE as ESPnet has them, e.g. dump/raw/dev/wav.scp,sound. May be "
        "given several times, each with its --output_dir",
    )
    parser.add_argument("--output_dir", required=True, action="append")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument(
        "--dtype",
        default="float32",
        choices=MODEL_DTYPES,
        help="Precision of the whole model",
    )
    parser.add_argument("--ngpu", type=int, default=0, help="0: run on the CPU")
    parser.add_argument(
        "--frames_cache_dir",
        type=str_or_none,
        default=None,
        help="Folder in which the frames of an encoder that was frozen are kept, as "
        "samu_train does (with --dtype float32)",
    )
    parser.add_argument("--num_workers", type=int, default=1)
    parser.add_argument(
        "--allow_missing",
        type=str2bool,
        default=False,
        help=f"Exit status 0 though utterances have no embedding: OUTPUT_DIR/{FAILED} "
        "has them",
    )
    return parser


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command."""
    log_to_stderr()
    parser = get_parser()
    args = parser.parse_args(cmd)
    if len(args.wav_scp) != len(args.output_dir):
        parser.error(
            f"{len(args.wav_scp)} --wav_scp, but {len(args.output_dir)} --output_dir"
        )
    if len(set(map(Path, args.output_dir))) < len(args.output_dir):
        parser.error(f"--output_dir: {', '.join(args.output_dir)} are not distinct")
    if args.batch_size < 1:
        parser.error(f"--batch_size {args.batch_size} must be 1 or more")
    if args.model_tag is not None and args.samu_train_config is not None:
        parser.error("--samu_train_config belongs to --samu_model_file")
    files = {}
    if args.model_tag is None:
        files["samu_train_config"] = args.samu_train_config
        files["samu_model_file"] = args.samu_model_file
    speech2embedding = Speech2Embedding.from_pretrained(
        args.model_tag,
        **files,
        device="cuda" if args.ngpu > 0 else "cpu",
        dtype=args.dtype,
    )
    if args.dtype == "float32":
        keep_frames(
            speech2embedding.samu_model,
            speech2embedding.samu_train_args,
            args.frames_cache_dir,
        )
    settings = {
        "model": file_identity(args.model_tag or args.samu_model_file),
        "config": file_identity(args.samu_train_config),
        "dtype": args.dtype,
        "espnet_samu": espnet_samu.__version__,
    }
    failed = 0
    for wav_scp, output_dir in zip(args.wav_scp, args.output_dir):
        failed += embed(
            speech2embedding,
            wav_scp,
            output_dir,
            settings,
            args.batch_size,
            args.num_workers,
        )
    close_frames_cache(speech2embedding.samu_model)
    if failed and not args.allow_missing:
        raise SystemExit(1)


if __name__ == "__main__":
    run(main)
