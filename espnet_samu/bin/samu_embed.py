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

from espnet_samu.samu_model import ESPnetSAMUModel
from espnet_samu.tasks.samu import SAMUTask
from espnet_samu.utils.kaldi_io import write_vectors
from espnet_samu.utils.sorted_batches import map_in_batches

SAMPLING_RATE = 16000  # Hz


def waveforms(loader) -> Iterator[Tuple[str, torch.Tensor]]:
    """Utterance ids and waveforms (N,) of a loader of single utterances."""
    for keys, batch in loader:
        yield keys[0], batch["speech"][0]


@torch.no_grad()
def embed(
    model: ESPnetSAMUModel,
    args: argparse.Namespace,
    wav_scp: str,
    output_dir: str,
    batch_size: int,
    ngpu: int,
    num_workers: int,
) -> None:
    """Embed every utterance of a wav.scp to output_dir/embed.{ark,scp}.

    Args:
        model: In eval mode, on its device.
        args: The model's training configuration.
        wav_scp: ``PATH,TYPE``, the type as ESPnet names it: sound, kaldi_ark.
        output_dir: Made if missing.
        batch_size: Utterances that are embedded together.
        ngpu: 0 for the CPU.
        num_workers: Of the data loader.
    """
    path, _, kind = wav_scp.partition(",")
    device = "cuda" if ngpu > 0 else "cpu"
    loader = SAMUTask.build_streaming_iterator(
        [(path, "speech", kind or "sound")],
        preprocess_fn=SAMUTask.build_preprocess_fn(args, False),
        collate_fn=SAMUTask.build_collate_fn(args, False),
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
        output = model.embed(speech.to(device), speech_lengths.to(device))
        return list(output.embedding.float().cpu().numpy())

    start = time.monotonic()
    scp = write_vectors(
        output_dir, map_in_batches(waveforms(loader), embed_batch, batch_size)
    )
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
    parser.add_argument("--samu_model_file", type=str, required=True)
    parser.add_argument(
        "--wav_scp",
        required=True,
        action="append",
        help="PATH,TYPE as ESPnet has them, e.g. dump/raw/dev/wav.scp,sound. May be "
        "given several times, each with its --output_dir",
    )
    parser.add_argument("--output_dir", required=True, action="append")
    parser.add_argument("--batch_size", type=int, default=16)
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
    model, train_args = SAMUTask.build_model_from_file(
        args.samu_train_config,
        args.samu_model_file,
        "cuda" if args.ngpu > 0 else "cpu",
    )
    model.eval()
    for wav_scp, output_dir in zip(args.wav_scp, args.output_dir):
        embed(
            model,
            train_args,
            wav_scp,
            output_dir,
            args.batch_size,
            args.ngpu,
            args.num_workers,
        )


if __name__ == "__main__":
    main()
