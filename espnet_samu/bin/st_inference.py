#!/usr/bin/env python3
"""Translate speech: espnet2.bin.st_inference with cached, batched decoding."""

import argparse
import dataclasses
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from espnet2.bin import st_inference as host
from espnet2.torch_utils.set_all_random_seed import set_all_random_seed
from espnet2.utils.types import str2bool, str_or_none

import espnet_samu
from espnet_samu.decoding.batch_decoder import Run, translation_store, write_results
from espnet_samu.decoding.search import BACKENDS, SearchSettings
from espnet_samu.decoding.utterances import UtteranceReader, list_utterances
from espnet_samu.speech2text import Speech2Text
from espnet_samu.tasks.st import STTask
from espnet_samu.text.tokenizer_files import own_tokenizer
from espnet_samu.train.encoding import close_frames_cache, keep_frames
from espnet_samu.utils.atomic import atomic_write
from espnet_samu.utils.command import log_to_stderr, run
from espnet_samu.utils.kaldi_io import FAILED, check_data_files
from espnet_samu.utils.resume_store import file_identity
from espnet_samu.utils.safe_reading import decoder_of, read_yaml

_SEARCH = [field.name for field in dataclasses.fields(SearchSettings)]
_FILES = "st_train_config st_model_file lm_train_config lm_file".split()
_TEXT = "token_type bpemodel".split()
# Options of espnet2.bin.st_inference that mean something here. Any other one must
# be at its default: an option is never taken and then ignored.
_SERVED = [
    *_SEARCH,
    *_FILES,
    *_TEXT,
    *"config log_level output_dir ngpu seed dtype num_workers batch_size".split(),
    *"data_path_and_name_and_type key_file model_tag tgt_lang chunk_seconds".split(),
    "allow_missing",
    "quantize",
    "frames_cache_dir",
]


def inference(args: argparse.Namespace) -> int:
    """Translate a wav.scp into output_dir/<n>best_recog/{text,token,...}.

    Returns:
        Number of utterances that failed.
    """
    set_all_random_seed(args.seed)
    given = {name: getattr(args, name) for name in _FILES + _TEXT}
    speech2text = Speech2Text.from_pretrained(
        args.model_tag,
        **{name: value for name, value in given.items() if value is not None},
        device="cuda" if args.ngpu > 0 else "cpu",
        dtype=args.dtype,
        quantize=args.quantize,
        chunk_seconds=args.chunk_seconds,
        **_search_options(args),
    )
    wav_scp, kind = _speech_files(args.data_path_and_name_and_type)
    utterances = list_utterances(
        wav_scp, args.key_file, args.tgt_lang, speech2text.languages.has_tokens
    )
    # An unknown language is an error now, not after hours of decoding.
    speech2text.languages.rows(list({u.tgt_lang for u in utterances}))
    output_dir = Path(args.output_dir)
    settings = {**_dependencies(args), "backend": speech2text.backend}
    store = translation_store(output_dir / ".parts", settings)
    work = Run(speech2text.batch, store, args.batch_size)
    model = speech2text.model
    if args.dtype == "float32" and not args.quantize:
        keep_frames(model, speech2text.st_train_args, args.frames_cache_dir)
    preprocess = STTask.build_preprocess_fn(speech2text.st_train_args, False)
    work.run(
        utterances,
        lambda some: UtteranceReader(wav_scp, kind, some, preprocess),
        args.num_workers,
    )
    close_frames_cache(model)
    write_results(output_dir, utterances, store, work.failures, args.nbest)
    report = {
        **work.report(),
        "batch_size": args.batch_size,
        "ngpu": args.ngpu,
        "settings": settings,
    }
    with atomic_write(output_dir / "decode.json") as file:
        json.dump(report, file, indent=2)
    logging.info(
        f"{report['translated']} utterances, {work.seconds_of_audio / 60:.1f} minutes "
        f"of speech, in {work.seconds:.1f} s: {report['utterances_per_second']:.1f} "
        f"utterances/s, real-time factor {report['real_time_factor']:.4f}"
    )
    if work.failures:
        logging.error(
            f"{len(work.failures)} of {len(utterances)} utterances failed, see "
            f"{output_dir / FAILED}; the same command tries only them again"
        )
    return len(work.failures)


def _search_options(args: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(args, name) for name in _SEARCH}


def _speech_files(triples: Sequence[tuple[str, str, str]]) -> tuple[str, str]:
    """Return file and type of the one input, ``speech``.

    Raises:
        ValueError: There are other inputs.
    """
    names = [name for _, name, _ in triples]
    if names != ["speech"]:
        raise ValueError(
            f"data_path_and_name_and_type names {', '.join(names)}, but decoding reads "
            "FILE,speech,TYPE once and nothing else"
        )
    return triples[0][0], triples[0][2]


def _dependencies(args: argparse.Namespace) -> dict[str, Any]:
    """Return what the translations of an utterance depend on."""
    depends = {name: getattr(args, name) for name in _TEXT}
    depends.update(dtype=args.dtype, chunk_seconds=args.chunk_seconds)
    if args.quantize:
        depends["quantize"] = True
    depends.update(_search_options(args), espnet_samu=espnet_samu.__version__)
    if args.do_sample:
        depends["seed"] = args.seed
    for name in (*_FILES, "model_tag"):
        depends[name] = file_identity(getattr(args, name))
    return depends


def get_parser() -> argparse.ArgumentParser:
    """Options of espnet2.bin.st_inference, and ours."""
    parser = host.get_parser()
    parser.description = (
        "ST decoding, batched over utterances. What was translated by a run that was "
        "killed or had failures is not translated again. Exit status 1: some "
        f"utterances failed, OUTPUT_DIR/{FAILED} says why"
    )
    (dtype,) = (a for a in parser._actions if "--dtype" in a.option_strings)
    dtype.choices = [*dtype.choices, "bfloat16"]
    group = parser.add_argument_group("espnet_samu related")
    group.add_argument(
        "--backend",
        default="auto",
        choices=BACKENDS,
        help="generate: transformers' search. beam_search: ESPnet's, for CTC, LM and "
        "penalty. Both find the same translations. auto: beam_search where one of them "
        "is asked for and on the CPU, where it is faster; the log names it",
    )
    group.add_argument(
        "--tgt_lang",
        type=str_or_none,
        default=None,
        help="Target language of all utterances, e.g. de. Default: of utt2tgt_lang "
        "beside the wav.scp, or else the model's own",
    )
    group.add_argument(
        "--chunk_seconds",
        type=float,
        default=0.0,
        help="Longer utterances are translated in pieces, cut where they are quiet. "
        "0: never",
    )
    group.add_argument(
        "--quantize",
        type=str2bool,
        default=False,
        help="Linear layers with int8 weights: faster on the CPU, other scores",
    )
    group.add_argument(
        "--frames_cache_dir",
        type=str_or_none,
        default=None,
        help="Folder in which the frames of an encoder that was frozen are kept, as "
        "st_train does (float32, not quantized)",
    )
    group.add_argument(
        "--allow_missing",
        type=str2bool,
        default=False,
        help="Exit status 0 though utterances have no translation: "
        f"OUTPUT_DIR/{FAILED} has them",
    )
    group.add_argument(
        "--do_sample",
        type=str2bool,
        default=False,
        help="Draw tokens at random (backend generate). What is drawn depends on the "
        "seed, the batches and what an earlier run has left",
    )
    group.add_argument(
        "--temperature",
        type=float,
        default=1.0,
        help="Divisor of the logits in sampling",
    )
    group.add_argument(
        "--top_k",
        type=int,
        default=0,
        help="Draw among the k most probable tokens. 0: all",
    )
    group.add_argument(
        "--top_p",
        type=float,
        default=1.0,
        help="Draw among the most probable tokens that sum to p",
    )
    return parser


def main(cmd: Sequence[str] | None = None) -> None:
    """Decode with mbart here, with any other decoder by ESPnet's own command."""
    parser = get_parser()
    args = parser.parse_args(cmd)
    check_data_files(args.data_path_and_name_and_type)
    # Without a configuration it is a packed model, which is checked when it is opened.
    if args.st_train_config and decoder_of(args.st_train_config) != "mbart":
        # ESPnet's beam search takes one utterance at a time, and stops at a failure.
        ours = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        ours.add_argument("--allow_missing")
        ours.add_argument("--frames_cache_dir")
        _, cmd = ours.parse_known_args(cmd)
        config = read_yaml(args.st_train_config)
        own = own_tokenizer(config.get("bpemodel"), Path(args.st_train_config).parent)
        if args.bpemodel is None and own != config.get("bpemodel"):
            cmd += ["--bpemodel", str(own)]
        host.main([*cmd, "--batch_size", "1"])
        return
    # A fresh parser: ESPnet's own turns the values of --config into defaults.
    defaults = get_parser()
    for name, value in vars(args).items():
        if name not in _SERVED and value != defaults.get_default(name):
            parser.error(
                f"--{name} {value}: not available with decoder: mbart (its default is "
                f"{defaults.get_default(name)})"
            )
    if args.ngpu > 1:
        parser.error(f"--ngpu {args.ngpu}: decoding uses one GPU a job; raise nj")
    if args.batch_size < 1:
        parser.error(f"--batch_size {args.batch_size} must be 1 or more")
    log_to_stderr(args.log_level)
    if inference(args) and not args.allow_missing:
        raise SystemExit(1)


if __name__ == "__main__":
    run(main)
