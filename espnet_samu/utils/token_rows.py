"""Rows of embeddings and output layers, matched by the names of tokens.

Row n of a decoder means token n of the token list that it was trained with. In a model
of another token list it belongs to the row of the same token, wherever that is.
"""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from espnet_samu.utils.safe_reading import read_yaml

_TARGET, _SOURCE = "token_list", "src_token_list"
_LISTS = {
    "decoder": _TARGET,
    "st_ctc": _TARGET,
    "st_joint_network": _TARGET,
    "extra_mt_decoder": _TARGET,
    "ctc": _SOURCE,
    "extra_asr_decoder": _SOURCE,
}
"""Token lists of the parts of a translation model."""
_ROWS = re.compile(
    r"(^|\.)("
    # Embeddings: of ESPnet's decoders, Whisper's and those of transformers.
    r"(embed|embed\.0|token_embedding"
    r"|shared|embed_tokens|wte|word_embeddings|embed_in)\.weight"
    # Output layers: of ESPnet's decoders, transducers, CTC and those of transformers.
    r"|(output_layer|output|lin_out|ctc_lo|lm_head|embed_out)\.(weight|bias)"
    r"|final_logits_bias)$"
)


def token_axis(name: str) -> int | None:
    """Return the axis on which a parameter has a row for each token, by its name."""
    if _ROWS.search(name) is None:
        return None
    return 1 if name.endswith("final_logits_bias") else 0


def match_rows(
    old: torch.Tensor,
    old_tokens: Sequence[str],
    new: torch.Tensor,
    new_tokens: Sequence[str],
    axis: int = 0,
) -> torch.Tensor:
    """Return the rows of other tokens, or of the same in another order.

    Args:
        old: Parameter with a row for each of the V old tokens: (V, D), (V) or (1, V).
        old_tokens: Tokens (V).
        new: The same for the V' new tokens; keeps its rows of tokens that are not old.
        new_tokens: Tokens (V').
        axis: Of the rows.
    """
    row = {token: i for i, token in enumerate(old_tokens)}
    kept = [i for i, token in enumerate(new_tokens) if token in row]
    rows = torch.tensor([row[new_tokens[i]] for i in kept], dtype=torch.long)
    matched = new.detach().cpu().clone()
    values = old.cpu().index_select(axis, rows).to(matched.dtype)
    return matched.index_copy_(axis, torch.tensor(kept, dtype=torch.long), values)


def has_tokens(model: torch.nn.Module, dst: str) -> bool:
    """Return whether ``--init_param`` matches rows of a part of a model.

    Args:
        model: Only those that say so (``matches_tokens``), as translation models do.
        dst: DST_KEY, the part; empty: all of the model.
    """
    is_part = dst == "" or dst.partition(".")[0] in _LISTS
    return is_part and getattr(model, "matches_tokens", False)


def has_same_lists(model: torch.nn.Module, file: Path | str) -> bool:
    """Return whether config.yaml beside a checkpoint has a model's token lists."""
    path = Path(file).parent / "config.yaml"
    config = read_yaml(path) if path.is_file() else {}
    return _TARGET in config and all(
        list(config.get(option) or []) == list(getattr(model, option) or [])
        for option in (_TARGET, _SOURCE)
    )


def matched_rows(
    what: str,
    file: Path | str,
    state: Mapping[str, torch.Tensor],
    names: Mapping[str, str],
    model: torch.nn.Module,
) -> dict[str, torch.Tensor]:
    """Return the parameters of a file whose rows are other tokens than the model's.

    Args:
        what: What is loaded, the beginning of messages.
        file: Checkpoint; config.yaml beside it has its token lists.
        state: Parameters of the file.
        names: Those that are loaded: names in the model by their keys in the file.
        model: The translation model to be filled.

    Returns:
        By key in the file: rows of the file where it has the token, else the model's.

    Raises:
        ValueError: The lists differ, and which parameters have rows is not known.
    """
    wanted = model.state_dict()
    parts: dict[str, list[str]] = {}
    for key, name in names.items():
        part = name.partition(".")[0]
        if name in wanted and part in _LISTS:
            parts.setdefault(part, []).append(key)
    path = Path(file).parent / "config.yaml"
    config = read_yaml(path) if parts and path.is_file() else {}
    matched: dict[str, torch.Tensor] = {}
    logged = ""
    for part, keys in parts.items():
        tokens = list(getattr(model, _LISTS[part]))
        old_tokens = _tokens_of(config, keys[0], part)
        if old_tokens == tokens:
            continue
        rows = {k: a for k in keys if (a := token_axis(names[k])) is not None}
        if not isinstance(old_tokens, list):
            if rows:
                logging.warning(
                    f"{what}: no config.yaml beside the file says what its tokens are: "
                    f"row n of '{part}' is taken for token n of the model's list"
                )
            continue
        sizes = [len(old_tokens), len(tokens)]
        # Those of the file may be left out.
        are_known = any(n.startswith(f"{part}.") and _ROWS.search(n) for n in wanted)
        if not are_known or any(
            [state[key].size(axis), wanted[names[key]].size(axis)] != sizes
            for key, axis in rows.items()
        ):
            raise ValueError(
                f"{what}: it has another token list, and which rows of '{part}' belong "
                "to tokens is not known. Use its token list, or leave out what has a "
                "row for each token: FILE:::KEY,... with keys of its state dict"
            )
        for key, axis in rows.items():
            old, new = state[key], wanted[names[key]]
            # Another dimension D is what the check of shapes names.
            if old.select(axis, 0).shape == new.select(axis, 0).shape:
                matched[key] = match_rows(old, old_tokens, new, tokens, axis)
        text = _describe(old_tokens, tokens)
        if text != logged:
            logging.info(f"{what}: {text}")
        logged = text
    return matched


def _tokens_of(config: Mapping[str, Any], key: str, part: str) -> Any:
    """Return the token list of a parameter of a file; None: it is not known.

    Args:
        config: Of the file.
        key: Of the parameter in the file.
        part: Of the model that it is loaded into.
    """
    option = _LISTS.get(key.partition(".")[0], _LISTS[part])
    # What is no translation model has one list.
    return config.get(option if _SOURCE in config else _TARGET)


def _describe(old: Sequence[str], new: Sequence[str]) -> str:
    known, wanted = {*old}, {*new}
    added = [token for token in new if token not in known]
    examples = f" ({' '.join(added[:5])}{' ...' if added[5:] else ''})" if added else ""
    return (
        f"rows are matched by token: {len(new) - len(added)} of {len(new)} tokens are "
        f"in its token list, {len(added)} are new{examples} and start as built; "
        f"{sum(token not in wanted for token in old)} of its tokens are not used"
    )


def loaded_names(
    state: Mapping[str, torch.Tensor], src: str, dst: str, excluded: str
) -> Iterator[tuple[str, str]]:
    """Yield keys of a file that ``--init_param`` loads, and names in the model.

    Args:
        state: Parameters of the file.
        src: SRC_KEY.
        dst: DST_KEY.
        excluded: EXCLUDED_KEYS, beginnings of keys joined by commas.
    """
    prefix = f"{src}." if src else ""
    beginnings = tuple(e for e in excluded.split(",") if e)
    for key in state:
        if key.startswith(prefix) and not key.startswith(beginnings):
            name = key.removeprefix(prefix)
            yield key, f"{dst}.{name}" if dst else name
