"""Tokenizer files of an experiment: copies beside its config.yaml, which names them.

Stage 5 may be run again with other texts, and folders are moved: a trained model keeps
the tokenizer of its training.
"""

import argparse
import filecmp
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from espnet_samu.utils.atomic import AtomicFolder

TOKENIZER = "tokenizer"
"""Folder of the copy beside config.yaml."""
FOLDERS = {"bpemodel": TOKENIZER, "src_bpemodel": f"src_{TOKENIZER}"}
"""Folders by the options of a training that name tokenizers."""
_OTHERS = tuple(".bin .ckpt .h5 .md .msgpack .onnx .pt .pth .safetensors".split())
"""Ends of the names of what else is in the folder of a pre-trained model."""
# ESPnet's name of the token for what is not in a token list.
_UNKNOWN = "<unk>"


def tokenizer_files(source: Path | str) -> list[Path]:
    """Return the files of a tokenizer: itself, or those of its folder."""
    source = Path(source)
    if not source.is_dir():
        return [source]
    return sorted(
        path
        for path in source.iterdir()
        if path.is_file() and not path.name.startswith(".")
        if not path.name.endswith(_OTHERS)
    )


def is_same_tokenizer(one: Path | str, other: Path | str) -> bool:
    """Return whether two tokenizers, files or folders, have the same content."""
    if not (os.path.exists(one) and os.path.exists(other)):
        return False  # hub ids
    if os.path.isdir(one) != os.path.isdir(other):
        return False
    ours, theirs = tokenizer_files(one), tokenizer_files(other)
    return len(ours) == len(theirs) and all(
        a.name == b.name and filecmp.cmp(a, b, shallow=False)
        for a, b in zip(ours, theirs)
    )


def copy_tokenizer(source: Path | str, folder: Path) -> str:
    """Copy a tokenizer into an existing folder; return its name from there."""
    for path in tokenizer_files(source):
        shutil.copy2(path, folder)
    return "" if os.path.isdir(source) else os.path.basename(source)


def keep_tokenizers(args: argparse.Namespace) -> None:
    """Copy the tokenizers of a training into its folder, and name the copies.

    Hub ids stay as they are. What the training was begun with is not written again.

    Args:
        args: Options of the training. Its ``output_dir`` is relative to where it is
            used, as all of ESPnet's paths, and so are the names of the copies.

    Raises:
        ValueError: There is such a folder, made by something else.
    """
    for option, name in FOLDERS.items():
        source = getattr(args, option, None)
        if source is None or not os.path.exists(source):
            continue
        folder = Path(args.output_dir, name)
        copy = folder if os.path.isdir(source) else folder / Path(source).name
        if not is_same_tokenizer(source, copy):
            with AtomicFolder(folder, "st_train", [source]) as new:
                copy_tokenizer(source, new)
        setattr(args, option, str(copy))


def own_tokenizer(value: str | None, exp: Path | str) -> str | None:
    """Return where the tokenizer that a configuration names is.

    Args:
        value: As config.yaml names it.
        exp: Folder of config.yaml, wherever it was moved.

    Returns:
        The copy in that folder if a copy is named, or else the value.
    """
    parts = Path(value or "").parts
    for tail in (parts[-1:], parts[-2:]):
        own = Path(exp, *tail)
        if tail and tail[0] in FOLDERS.values() and own.exists():
            return str(own)
    return value


def kept_tokenizers(config: Mapping[str, Any], exp: Path) -> list[str]:
    """Return the copies in the folder of a config.yaml that it names."""
    own = [own_tokenizer(config.get(option), exp) for option in FOLDERS]
    return [p for p in own if p and Path(p).is_relative_to(exp) and os.path.exists(p)]


def save_tokenizer(
    source: str, revision: str | None, folder: Path, size: int
) -> list[str]:
    """Write the tokeniser for ESPnet's ``token_type: hugging_face``.

    Args:
        source: Hub id or folder of the published model.
        revision: Branch, tag or commit on the hub.
        folder: Made here.
        size: Number of rows of the embedding.

    Returns:
        Token list: line n is row n of the embedding.

    Raises:
        ValueError: There is no tokeniser, or one of other tokens than the model's.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            source, revision=revision, trust_remote_code=False
        )
    # AttributeError: the class of the tokeniser is missing (transformers 5.23).
    except (OSError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{source} has no tokeniser that can be read: it needs "
            "tokenizer.json or sentencepiece.bpe.model, and a "
            "tokenizer_config.json with tokenizer_class, e.g. MBart50Tokenizer"
        ) from error
    tokenizer.save_pretrained(folder)
    # Checked as written: that is the tokeniser that will be used.
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokens: Any = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    if len(tokens) != size or len(set(tokens)) != size or None in tokens:
        raise ValueError(
            f"{source}: the decoder has {size} tokens, but its tokeniser "
            f"({type(tokenizer).__name__}) has {len(set(tokens) - {None})}"
        )
    if _UNKNOWN not in tokens:
        raise ValueError(
            f"{source}: ESPnet needs a token {_UNKNOWN}; the tokeniser's "
            f"unknown token is {tokenizer.unk_token}"
        )
    return tokens
