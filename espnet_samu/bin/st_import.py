#!/usr/bin/env python3
"""Make an experiment folder of a published or trained model, without training."""

import argparse
import copy
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from espnet2.utils.types import str2bool, str_or_none

from espnet_samu.bin.trim_vocab import add_languages
from espnet_samu.checkpoint.model_import import (
    CONFIG,
    DEFAULT_MODEL,
    MODEL,
    import_st,
    write_yaml,
)
from espnet_samu.layers.adapters import merge_lora
from espnet_samu.tasks.st import STTask
from espnet_samu.text.checkpoint import new_row
from espnet_samu.text.languages import TargetLanguages, is_code
from espnet_samu.text.tokenizer_files import (
    TOKENIZER,
    copy_tokenizer,
    own_tokenizer,
)
from espnet_samu.utils.atomic import AtomicFolder
from espnet_samu.utils.command import log_to_stderr, run
from espnet_samu.utils.token_rows import match_rows, token_axis


def rewrite_st(
    checkpoint: Path | str,
    output_dir: Path | str,
    merge: bool = False,
    languages: Mapping[str, str] | None = None,
) -> None:
    """Write the experiment folder of a changed model.

    Args:
        checkpoint: Of a translation model, with config.yaml beside it.
        output_dir: Replaced as a whole if st_import made it.
        merge: Merge LoRA into the weights.
        languages: New language tokens, and those that they start near.

    Raises:
        ValueError: Nothing is to be changed, the decoder is not ``mbart``, there is no
            LoRA or another kind of adapters, or a language is no new one.
    """
    source = Path(checkpoint)
    if not merge and not languages:
        raise ValueError(
            f"--from {source} is a trained model: say what is to be changed, "
            "--merge_lora true or --add_languages NEW=NEIGHBOUR"
        )
    output = AtomicFolder(output_dir, "st_import", [source])
    model, args = STTask.build_model_from_file(None, source)
    if not hasattr(model.decoder, "lang_token_id"):
        raise ValueError(f"--from {source}: decoder '{args.decoder}' is not mbart")
    # Of the training, not of the model.
    args.base_weights = None
    args.init_param, args.init_from_samu = [], False
    if merge:
        _merge(source, model, args)
    state = model.state_dict()
    if languages:
        state, args = _with_languages(state, args, languages)
    with output as folder:
        args.bpemodel = _copy_tokenizer(
            args.bpemodel, source.parent, folder, Path(output_dir)
        )
        torch.save(state, folder / MODEL)
        (folder / DEFAULT_MODEL).symlink_to(MODEL)
        write_yaml(folder / CONFIG, f"From {source}", vars(args))
    logging.info(
        f"{output_dir}: written from {source}, {len(args.token_list)} tokens"
        f"{', LoRA merged' if merge else ''}"
    )


def _merge(source: Path, model: torch.nn.Module, args: argparse.Namespace) -> None:
    adapters = getattr(args, "adapters", None) or {}
    if {conf["type"] for conf in adapters.values()} != {"lora"}:
        raise ValueError(
            f"--merge_lora: {source} has adapters: {adapters or 'none'}; only LoRA can "
            "be merged into the weights"
        )
    merge_lora(model)
    args.adapters = args.trainable = None
    args.save_trained_only = False


def _with_languages(
    state: dict[str, torch.Tensor],
    args: argparse.Namespace,
    languages: Mapping[str, str],
) -> tuple[dict[str, torch.Tensor], argparse.Namespace]:
    """Return weights and options of the model with more language tokens."""
    known = TargetLanguages(args.token_list)
    for code in languages:
        if not is_code(code) or code in args.token_list:
            raise ValueError(
                f"--add_languages {code}: a new code has the form of the others and is "
                f"not one of them: {', '.join(known.codes)}"
            )
    near = [known.id(name) for name in languages.values()]
    config: dict[str, Any] = copy.deepcopy(vars(args))
    tokens = args.token_list
    config["token_list"] = [*tokens, *languages]
    config["decoder_conf"]["model_conf"]["vocab_size"] = len(config["token_list"])
    args = argparse.Namespace(**config)
    wanted = STTask.build_model(args).state_dict()
    grown = {}
    for name, value in state.items():
        shape = wanted[name].shape
        if value.shape == shape:
            grown[name] = value
            continue
        # Embedding and output layer (V, D), or a bias of V logits.
        axis = token_axis(name) or 0
        rows = [value.select(axis, row)[None] for row in near]
        if value.dim() == 2 and axis == 0:
            rows = [new_row(row, i) for i, row in enumerate(rows)]
        new = torch.zeros(shape, dtype=value.dtype)
        new.narrow(axis, len(tokens), len(rows)).copy_(torch.cat(rows).movedim(0, axis))
        grown[name] = match_rows(value, tokens, new, args.token_list, axis)
    return grown, args


def _copy_tokenizer(
    value: str | None, source: Path, folder: Path, output_dir: Path
) -> str | None:
    """Copy the tokenizer of a model into a folder; return the name for config.yaml.

    Args:
        value: As the model's config.yaml names it.
        source: Folder of that config.yaml.
        folder: Is to become output_dir.
        output_dir: Of the new model.
    """
    value = own_tokenizer(value, source)
    if value is None or not Path(value).exists():
        return value  # characters, or a hub id
    (folder / TOKENIZER).mkdir()
    return str(output_dir / TOKENIZER / copy_tokenizer(value, folder / TOKENIZER))


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        description="Make an experiment folder (config.yaml, checkpoint, tokeniser) of "
        "a published translation model of wav2vec 2.0 and mBART, e.g. "
        "facebook/wav2vec2-xls-r-300m-21-to-en, or of SeamlessM4T, e.g. "
        "facebook/seamless-m4t-v2-large, to decode with st_inference; or of a model of "
        "ours, changed, to train further: with LoRA merged, or new languages",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--from",
        dest="source",
        required=True,
        help="Hub id or folder of a SpeechEncoderDecoderModel or SeamlessM4T of "
        "transformers, or a checkpoint (FILE.pth) of an experiment",
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
        "--tgt_lang_token",
        type=str_or_none,
        default=None,
        help="Token that begins every translation, e.g. de_DE for a model that "
        "translates into several languages, or fra for SeamlessM4T; default: the "
        "published one",
    )
    parser.add_argument(
        "--merge_lora",
        type=str2bool,
        default=False,
        help="Merge the LoRA of a checkpoint into its weights",
    )
    parser.add_argument(
        "--add_languages",
        type=add_languages,
        default="",
        help="New language tokens of a checkpoint and those they start near, e.g. "
        "ca_ES=es_XX,cy_GB=en_XX",
    )
    return parser


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = get_parser()
    args = parser.parse_args(cmd)
    log_to_stderr()
    if Path(args.source).is_file():
        if args.revision is not None or args.tgt_lang_token is not None:
            parser.error("--revision and --tgt_lang_token are for published models")
        rewrite_st(args.source, args.output_dir, args.merge_lora, args.add_languages)
        return
    if args.merge_lora or args.add_languages:
        parser.error(
            f"--merge_lora and --add_languages are for a checkpoint; {args.source} is "
            "no file"
        )
    import_st(args.source, args.output_dir, args.revision, args.tgt_lang_token)


if __name__ == "__main__":
    run(main)
