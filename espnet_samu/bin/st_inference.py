#!/usr/bin/env python3
"""Translate speech: espnet2.bin.st_inference with cached, batched decoding."""

import argparse
import logging
import sys
import time
from typing import Optional, Sequence

import yaml
from espnet2.bin import st_inference as host
from espnet2.fileio.datadir_writer import DatadirWriter
from espnet2.torch_utils.set_all_random_seed import set_all_random_seed

from espnet_samu.bin.samu_embed import SAMPLING_RATE, waveforms
from espnet_samu.speech2text import Speech2Text
from espnet_samu.tasks.st import STTask
from espnet_samu.utils.sorted_batches import map_in_batches


def inference(args: argparse.Namespace) -> None:
    """Translate a wav.scp into output_dir/<n>best_recog/{text,token,...}."""
    set_all_random_seed(args.seed)
    files = {"st_train_config": args.st_train_config}
    files["st_model_file"] = args.st_model_file
    speech2text = Speech2Text.from_pretrained(
        args.model_tag,
        **{k: v for k, v in files.items() if v is not None},
        device="cuda" if args.ngpu > 0 else "cpu",
        dtype=args.dtype,
        beam_size=args.beam_size,
        nbest=args.nbest,
        maxlenratio=args.maxlenratio,
        minlenratio=args.minlenratio,
        normalize_length=args.normalize_length,
    )
    loader = STTask.build_streaming_iterator(
        args.data_path_and_name_and_type,
        preprocess_fn=STTask.build_preprocess_fn(speech2text.st_train_args, False),
        collate_fn=STTask.build_collate_fn(speech2text.st_train_args, False),
        key_file=args.key_file,
        dtype=args.dtype,
        num_workers=args.num_workers,
        ngpu=args.ngpu,
        allow_variable_data_keys=args.allow_variable_data_keys,
        inference=True,
    )
    seconds = 0.0

    def translate(speech, speech_lengths):
        nonlocal seconds
        seconds += speech_lengths.sum().item() / SAMPLING_RATE
        return speech2text.translate(speech, speech_lengths)

    start = time.monotonic()
    count = 0
    with DatadirWriter(args.output_dir) as writer:
        for key, hypotheses in map_in_batches(
            waveforms(loader), translate, args.batch_size
        ):
            count += 1
            for n, hypothesis in enumerate(hypotheses, 1):
                files = writer[f"{n}best_recog"]
                files["token"][key] = " ".join(hypothesis.token)
                files["token_int"][key] = " ".join(map(str, hypothesis.token_int))
                files["score"][key] = str(hypothesis.score)
                files["text"][key] = hypothesis.text
    spent = time.monotonic() - start
    logging.info(
        f"{count} utterances, {seconds / 60:.1f} minutes of speech in {spent:.1f} s: "
        f"{count / max(spent, 1e-9):.1f} utterances/s, real-time factor "
        f"{spent / max(seconds, 1e-9):.4f}"
    )


# Options of espnet2.bin.st_inference that mean something here. Any other one must
# be at its default: an option is never taken and then ignored.
_SERVED = (
    "config log_level output_dir ngpu seed dtype num_workers batch_size beam_size "
    "data_path_and_name_and_type key_file allow_variable_data_keys st_train_config "
    "st_model_file model_tag nbest maxlenratio minlenratio normalize_length"
).split()


def get_parser() -> argparse.ArgumentParser:
    """Options of espnet2.bin.st_inference."""
    parser = host.get_parser()
    parser.description = (
        "ST decoding by transformers' generate, batched over utterances"
    )
    return parser


def uses_mbart(st_train_config: Optional[str]) -> bool:
    """Whether an experiment's decoder is ours. Without a config: a packed model."""
    if st_train_config is None:
        return True
    with open(st_train_config, encoding="utf-8") as file:
        return yaml.safe_load(file).get("decoder") == "mbart"


def main(cmd: Optional[Sequence[str]] = None) -> None:
    """Decode with mbart here, with any other decoder by ESPnet's own command."""
    parser = get_parser()
    args = parser.parse_args(cmd)
    if not uses_mbart(args.st_train_config):
        # ESPnet's beam search takes one utterance at a time.
        cmd = list(sys.argv[1:] if cmd is None else cmd)
        host.main([*cmd, "--batch_size", "1"])
        return
    # A parser that has read no --config: ESPnet's turns what it says into defaults.
    defaults = get_parser()
    for name, value in vars(args).items():
        if name not in _SERVED and value != defaults.get_default(name):
            parser.error(
                f"--{name} {value}: not available with decoder: mbart (its default is "
                f"{defaults.get_default(name)})"
            )
    if args.ngpu > 1:
        parser.error(f"--ngpu {args.ngpu}: decoding uses one GPU a job; raise nj")
    logging.basicConfig(
        level=args.log_level,
        format="%(asctime)s (%(module)s:%(lineno)d) %(levelname)s: %(message)s",
    )
    inference(args)


if __name__ == "__main__":
    main()
