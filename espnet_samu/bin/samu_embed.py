#!/usr/bin/env python3
"""Write the utterance embeddings of a distilled speech encoder."""

import argparse
import logging
import sys
import time
from typing import Iterator, List, Optional, Tuple

import numpy as np
import torch
from espnet2.utils.types import str_or_none

from espnet_samu.speech2embedding import Speech2Embedding
from espnet_samu.tasks.samu import SAMUTask
from espnet_samu.utils.command import run
from espnet_samu.utils.kaldi_io import check_data_files, iterate_text, write_vectors
from espnet_samu.utils.progress import progress
from espnet_samu.utils.sorted_batches import map_in_batches
from espnet_samu.utils.waveform import SAMPLING_RATE, CheckedPreprocessor


def waveforms(loader) -> Iterator[Tuple[str, torch.Tensor]]:
    """Utterance ids and waveforms (N,) of a loader of single utterances."""
    for keys, batch in loader:
        # A worker's tensor holds a file descriptor and shared memory.
        yield keys[0], batch["speech"][0].clone()


def embed(
    speech2embedding: Speech2Embedding,
    wav_scp: str,
    output_dir: str,
    batch_size: int,
    ngpu: int,
    num_workers: int,
) -> None:
    """Embed every utterance of a wav.scp to output_dir/embed.{ark,scp}.

    Args:
        speech2embedding: The student.
        wav_scp: ``PATH,TYPE``, the type as ESPnet names it: sound, kaldi_ark.
        output_dir: Made if missing.
        batch_size: Utterances that are embedded together.
        ngpu: 0 for the CPU.
        num_workers: Of the data loader.

    Raises:
        ValueError: wav_scp names a command; a waveform is empty, of several channels,
            not finite, or its sound file is not of 16 kHz; names the utterance.
        RuntimeError: The model refuses a batch; names its utterances.
    """
    path, _, kind = wav_scp.partition(",")
    kind = kind or "sound"
    check_data_files([(path, "speech", kind)])
    train_args = speech2embedding.samu_train_args
    loader = SAMUTask.build_streaming_iterator(
        [(path, "speech", kind)],
        preprocess_fn=CheckedPreprocessor(
            path if kind == "sound" else None,
            SAMUTask.build_preprocess_fn(train_args, False),
        ),
        collate_fn=SAMUTask.build_collate_fn(train_args, False),
        dtype="float32",
        num_workers=num_workers,
        ngpu=ngpu,
        inference=True,
    )
    seconds = 0.0

    def embed_batch(
        speech: torch.Tensor, speech_lengths: torch.Tensor
    ) -> List[np.ndarray]:
        nonlocal seconds
        seconds += speech_lengths.sum().item() / SAMPLING_RATE
        return list(speech2embedding.embed(speech, speech_lengths).float().numpy())

    start = time.monotonic()
    vectors = map_in_batches(waveforms(loader), embed_batch, batch_size)
    total = sum(1 for _ in iterate_text(path))
    scp = write_vectors(output_dir, progress(vectors, total, "utterances"))
    spent = time.monotonic() - start
    logging.info(
        f"{scp}: {seconds / 60:.1f} minutes of speech in {spent:.1f} s, real-time "
        f"factor {spent / max(seconds, 1e-9):.4f}"
    )


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        description="Write the utterance embeddings of a distilled speech encoder to "
        "OUTPUT_DIR/embed.ark and embed.scp",
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
        choices=["float16", "bfloat16", "float32", "float64"],
        help="Of the whole model",
    )
    parser.add_argument("--ngpu", type=int, default=0, help="0: on the CPU")
    parser.add_argument("--num_workers", type=int, default=1)
    return parser


def main(cmd: Optional[List[str]] = None) -> None:
    """Run the command."""
    logging.basicConfig(
        level="INFO",
        stream=sys.stderr,
        format="%(asctime)s (%(module)s:%(lineno)d) %(levelname)s: %(message)s",
    )
    parser = get_parser()
    args = parser.parse_args(cmd)
    if len(args.wav_scp) != len(args.output_dir):
        parser.error(
            f"{len(args.wav_scp)} --wav_scp, but {len(args.output_dir)} --output_dir"
        )
    if args.model_tag is not None:
        if args.samu_train_config is not None:
            parser.error("--samu_train_config belongs to --samu_model_file")
        files = {}
    else:
        files = {
            "samu_train_config": args.samu_train_config,
            "samu_model_file": args.samu_model_file,
        }
    speech2embedding = Speech2Embedding.from_pretrained(
        args.model_tag,
        **files,
        device="cuda" if args.ngpu > 0 else "cpu",
        dtype=args.dtype,
    )
    for wav_scp, output_dir in zip(args.wav_scp, args.output_dir):
        embed(
            speech2embedding,
            wav_scp,
            output_dir,
            args.batch_size,
            args.ngpu,
            args.num_workers,
        )


if __name__ == "__main__":
    run(main)
