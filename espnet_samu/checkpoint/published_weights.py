"""Weights of a published translation model, put into one of ours.

They are read one by one: never is there more than one copy of the model in memory.
"""

import logging
import re
from pathlib import Path
from typing import Any, Dict, List

import torch

from espnet_samu.text.checkpoint import open_tensors

# Our names and transformers' for the same weights.
_NAMES = {
    r"frontend\.model\.(.+)": r"encoder.\1",
    r"decoder\.linear_in\.(.+)": r"enc_to_dec_proj.\1",
    r"decoder\.model\.model\.decoder\.(.+)": r"decoder.model.decoder.\1",
    r"decoder\.model\.lm_head\.(.+)": r"decoder.lm_head.\1",
}
# Names before torch 2.1.
_NEW_NAMES = {
    r"(.+\.pos_conv_embed\.conv)\.weight_g": r"\1.parametrizations.weight.original0",
    r"(.+\.pos_conv_embed\.conv)\.weight_v": r"\1.parametrizations.weight.original1",
}
_EMBEDDING = "decoder.model.decoder.embed_tokens.weight"
_OUTPUT_LAYER = "decoder.lm_head.weight"
# The embedding once more, and a bias of the logits, which a language model has not.
_OURS_ALONE = ("decoder.model.model.shared.weight", "decoder.model.final_logits_bias")
# SpecAugment's vector: some checkpoints lack it, some have it and do not use it.
_MASK = "encoder.masked_spec_embed"
# Rows that are compared at once.
_ROWS = 8192


@torch.no_grad()
def fill(model: torch.nn.Module, files: List[Path], tied: bool = True) -> None:
    """Put all of a published model's weights into all of an ``ESPnetSTModel``.

    Args:
        model: Built as the published configuration says.
        files: From ``text.checkpoint.find_weights``.
        tied: Whether the checkpoint may have only one of embedding and output layer,
            which is then the other one, too.

    Raises:
        ValueError: Weights are missing, unknown or of another shape; names them. Or
            the output layer is not the embedding.
    """
    tensors = {_rename(k, _NEW_NAMES): v for k, v in open_tensors(files).items()}
    wanted = {_rename(k, _NAMES): v for k, v in model.state_dict().items()}
    shared, bias = (wanted.pop(name) for name in _OURS_ALONE)
    assert shared.data_ptr() == wanted[_EMBEDDING].data_ptr()
    bias.zero_()
    if _MASK not in wanted and tensors.pop(_MASK, None) is not None:
        logging.info(f"{_MASK} is left out: the configuration masks nothing")
    if _MASK in wanted and _MASK not in tensors:
        logging.warning(f"{_MASK} is not in the checkpoint: it stays random")
        del wanted[_MASK]
    _tie(wanted, tensors, tied)
    _check(wanted, tensors)
    for name, value in wanted.items():
        value.copy_(tensors[name][...])


def _rename(name: str, names: Dict[str, str]) -> str:
    for pattern, replacement in names.items():
        if match := re.fullmatch(pattern, name):
            return match.expand(replacement)
    return name


def _tie(wanted: Dict[str, Any], tensors: Dict[str, Any], tied: bool) -> None:
    """See that embedding and output layer, which are one here, are equal there."""
    there = [name for name in (_EMBEDDING, _OUTPUT_LAYER) if name in tensors]
    if len(there) == 2 and not _equal(*(tensors[name] for name in there)):
        raise ValueError(
            f"the output layer ({_OUTPUT_LAYER}) is not the embedding ({_EMBEDDING}); "
            "decoder: mbart has one tensor for both"
        )
    if len(there) == 1 and tied:
        del wanted[_OUTPUT_LAYER if there[0] == _EMBEDDING else _EMBEDDING]


def _equal(first: Any, second: Any) -> bool:
    size = _shape(first)[0]
    return _shape(first) == _shape(second) and all(
        torch.equal(first[row : row + _ROWS], second[row : row + _ROWS])
        for row in range(0, size, _ROWS)
    )


def _check(wanted: Dict[str, torch.Tensor], tensors: Dict[str, Any]) -> None:
    missing = sorted(wanted.keys() - tensors.keys())
    unknown = sorted(tensors.keys() - wanted.keys())
    shapes = [
        f"{name} {_shape(tensors[name])} for {list(value.shape)}"
        for name, value in wanted.items()
        if name in tensors and _shape(tensors[name]) != list(value.shape)
    ]
    if missing or unknown or shapes:
        raise ValueError(
            "the checkpoint is not what its config.json says: "
            f"{len(missing)} weights missing {missing[:5]}, "
            f"{len(unknown)} not known {unknown[:5]}, "
            f"{len(shapes)} of another shape {shapes[:5]}"
        )


def _shape(tensor: Any) -> List[int]:
    if isinstance(tensor, torch.Tensor):
        return list(tensor.shape)
    return list(tensor.get_shape())
