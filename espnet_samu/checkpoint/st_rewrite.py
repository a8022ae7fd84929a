"""A trained translation model as the start of another training.

LoRA is merged into the weights, or languages are added to the token list: each new row
starts near that of a related language, and the old ones keep their numbers.
"""

import argparse
import copy
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from espnet_samu.checkpoint.st_import import CONFIG, DEFAULT_MODEL, MODEL
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
from espnet_samu.utils.safe_reading import dump_yaml
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
        text = f"# From {source}\n{dump_yaml(vars(args))}"
        (folder / CONFIG).write_text(text, encoding="utf-8")
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
