"""Files of a pre-trained translation model, and its decoder's tensors."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open

from espnet_samu.utils import hub, seamless
from espnet_samu.utils.safe_reading import check_zip_size, describe_damage, read_json
from espnet_samu.utils.state_dict import shape_of

TOKENIZER_FILE = "sentencepiece.bpe.model"
CONFIG_FILE = "config.json"
# What the tokenizer has beside sentencepiece's pieces: of M2M-100, of SeamlessM4T.
_VOCAB_FILE, _SEAMLESS_VOCAB_FILE = "vocab.json", "tokenizer_config.json"
_WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")

# The same tensor: a checkpoint has one of the names or several.
_EMBEDDINGS = (
    "model.shared.weight",
    "model.decoder.embed_tokens.weight",
    "model.encoder.embed_tokens.weight",
    "lm_head.weight",
)
_BIAS = "final_logits_bias"
# Length of the random vector that is added to a new row, as a share of the row's own
# [ours]. Without it a new token would stay as probable as the one that it started as
# for as long as the embedding is frozen, as with LNA.
_APART = 0.5


class CheckpointFiles(NamedTuple):
    """Paths of a pre-trained model's files."""

    config: Path
    tokenizer: Path
    vocab: Path | None
    """M2M-100's vocab.json, SeamlessM4T's tokenizer_config.json."""
    weights: list[Path]
    """Several if the checkpoint is in parts."""

    def all(self) -> list[Path]:
        """Return the existing files."""
        vocab = [] if self.vocab is None else [self.vocab]
        return [self.config, self.tokenizer, *vocab, *self.weights]


def find_files(model: str, revision: str | None = None) -> CheckpointFiles:
    """Find, or download from the hub, the files that trimming reads.

    Args:
        model: Hub id or folder.
        revision: Branch, tag or commit on the hub.

    Raises:
        ConnectionError: See :func:`espnet_samu.utils.hub.locate`.
        FileNotFoundError: There is no such model, or a file of it is missing.
    """
    model = hub.locate(model, revision)
    config = _find(model, CONFIG_FILE, revision)
    tokenizer = _find(model, TOKENIZER_FILE, revision)
    if config is None or tokenizer is None:
        raise FileNotFoundError(
            f"{model} has no {CONFIG_FILE if config is None else TOKENIZER_FILE}; copy "
            "it from the published model that this one was made of"
        )
    is_seamless = read_json(config).get("model_type") in seamless.TYPES
    name = _SEAMLESS_VOCAB_FILE if is_seamless else _VOCAB_FILE
    vocab = _find(model, name, revision)
    return CheckpointFiles(config, tokenizer, vocab, find_weights(model, revision))


def find_weights(model: str, revision: str | None = None) -> list[Path]:
    """Find, or download from the hub, the weight files.

    Args:
        model: Hub id or folder.
        revision: Branch, tag or commit on the hub.

    Raises:
        ConnectionError: See :func:`espnet_samu.utils.hub.locate`.
        FileNotFoundError: There is no such model, or it has no weights, or not all.
    """
    model = hub.locate(model, revision)
    for name in _WEIGHT_FILES:
        whole = _find(model, name, revision)
        if whole is not None:
            return [whole]
        index = _find(model, f"{name}.index.json", revision)
        if index is not None:
            parts = sorted(set(read_json(index)["weight_map"].values()))
            paths = [_find(model, part, revision) for part in parts]
            missing = [part for part, path in zip(parts, paths) if path is None]
            if missing:
                raise FileNotFoundError(f"{model} lacks {', '.join(missing)}")
            return [path for path in paths if path is not None]
    raise FileNotFoundError(f"{model} has no {' or '.join(_WEIGHT_FILES)}")


def _find(model: str, name: str, revision: str | None) -> Path | None:
    from transformers.utils import cached_file

    path = cached_file(
        model,
        name,
        revision=revision,
        _raise_exceptions_for_missing_entries=False,
    )
    return None if path is None else Path(path)


def open_tensors(files: Sequence[Path]) -> dict[str, Any]:
    """Open tensors by name, without reading them.

    Args:
        files: safetensors files, or torch's, which are read with ``weights_only``.

    Returns:
        Objects to be indexed as tensors are: ``x[:]``, ``x[rows]``.

    Raises:
        ValueError: A file is damaged, or a pointer of git-lfs; names it.
    """
    tensors: dict[str, Any] = {}
    for file in files:
        check_zip_size(file)
        try:
            if file.suffix == ".safetensors":
                opened = safe_open(file, framework="pt")
                tensors.update((name, opened.get_slice(name)) for name in opened.keys())
                continue
            # Files written before torch 1.6 cannot be mapped.
            mmap = zipfile.is_zipfile(file)
            tensors.update(
                torch.load(file, map_location="cpu", weights_only=True, mmap=mmap)
            )
        except Exception as error:
            # What torch's unpickler raises for damaged bytes may be anything.
            raise ValueError(
                f"{file} is damaged, or holds no weights ({describe_damage(error)}); "
                "get it again"
            ) from error
    return tensors


def decoder_tensors(
    tensors: Mapping[str, Any],
    rows: Sequence[int],
    vocab_size: int,
    starts: Sequence[Sequence[int]] = (),
) -> dict[str, torch.Tensor]:
    """Read the decoder's tensors with selected and new embedding rows.

    Layers of the text encoder are left out. The few tensors outside its layers stay:
    transformers' class has them even with ``encoder_layers: 0``.

    Args:
        tensors: From :func:`open_tensors`.
        rows: Rows to take, in their new order.
        vocab_size: Number V of rows of the checkpoint.
        starts: For each new row behind them, the rows whose mean it is initialised
            near.

    Returns:
        Tensors by transformers' names, the embedding (len(rows) + len(starts), D) and
        the bias of the logits (1, len(rows) + len(starts)) among them.

    Raises:
        ValueError: There is no embedding with V rows.
    """
    name = next((name for name in _EMBEDDINGS if name in tensors), None)
    if name is None:
        raise ValueError(
            f"the checkpoint has no embedding: none of {', '.join(_EMBEDDINGS)}"
        )
    embedding = tensors[name]
    if shape_of(embedding)[0] != vocab_size:
        raise ValueError(
            f"the checkpoint's {name} has {shape_of(embedding)[0]} rows, but "
            f"vocab_size of config.json is {vocab_size}"
        )
    new = [new_row(embedding[list(start)], i) for i, start in enumerate(starts)]
    taken = {_EMBEDDINGS[0]: torch.cat([embedding[rows], *new])}
    if _BIAS in tensors:
        bias = tensors[_BIAS][:]
        new = [bias[:, list(start)].mean(1, keepdim=True) for start in starts]
        taken[_BIAS] = torch.cat([bias[:, rows], *new], dim=1)
    for name, tensor in tensors.items():
        if name not in _EMBEDDINGS and _is_kept(name):
            taken[name] = tensor[:]
    return {name: tensor.contiguous() for name, tensor in taken.items()}


def new_row(near: torch.Tensor, seed: int) -> torch.Tensor:
    """Return a row (1, D) near the mean of others (N, D), fixed by a seed."""
    mean = near.float().mean(0, keepdim=True)
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(seed))
    return (mean + _APART * mean.norm() * noise / noise.norm()).to(near.dtype)


def _is_kept(name: str) -> bool:
    if name.startswith("model.encoder."):
        return not name.startswith("model.encoder.layers.")
    return name.startswith("model.decoder.")


def count_parameters(
    tensors: Mapping[str, torch.Tensor], vocab_size: int
) -> dict[str, dict[str, int]]:
    """Return the decoder's parameters before and after: embedding, total.

    The embedding is the output layer, too.

    Args:
        tensors: From :func:`decoder_tensors`.
        vocab_size: Number of rows of the checkpoint.
    """
    embedding = tensors[_EMBEDDINGS[0]]
    others = sum(
        tensor.numel()
        for name, tensor in tensors.items()
        if name.startswith("model.decoder.")
    )
    before, after = vocab_size * embedding.size(1), embedding.numel()
    return {
        "embedding": {"before": before, "after": after},
        "all": {"before": before + others, "after": after + others},
    }
