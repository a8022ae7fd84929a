"""Starting a model from a part of another one, completely or not at all."""

import logging
from typing import Sequence

import torch

from espnet_samu.layers.adapter_mark import adapter_keys


def check_init_param(specs: Sequence[str], model: torch.nn.Module) -> None:
    """See that every ``--init_param`` fills its whole destination.

    ESPnet copies the keys that it finds and says nothing of the others: a frontend
    with a forgotten prefix would start at random. Adapters may be new: a file that
    has none of them leaves them as they are.

    Args:
        specs: ``FILE:SRC_KEY:DST_KEY:EXCLUDED_KEYS`` each, as ESPnet reads it.
        model: The model to be filled.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The destination has parameters that the file does not have.
    """
    from espnet2.torch_utils.safe_torch_load import safe_torch_load

    for spec in specs:
        path, src, dst, excludes = (spec.split(":", 4) + [""] * 4)[:4]
        state = safe_torch_load(path, map_location="cpu")
        state = state.get("module", state)
        prefix = f"{src}." if src else ""
        excluded = tuple(e for e in excludes.split(",") if e)
        target = model.get_submodule(dst)
        new = {prefix + k for k in adapter_keys(target)}
        if any(k in state for k in new):
            new = set()
        wanted = [prefix + k for k in target.state_dict() if prefix + k not in new]
        missing = [
            k
            for k in wanted
            if k not in state and not k.startswith(excluded or ("\0",))
        ]
        if missing:
            raise ValueError(
                f"--init_param {spec}: {len(missing)} of {len(wanted)} parameters of "
                f"'{dst or 'the model'}' are not in the file, e.g. "
                f"{', '.join(missing[:3])}; start from a model of the same "
                "frontend_conf, name the keys after a third colon to leave them out, "
                "or pass --ignore_init_mismatch true"
            )
        kept = f"; {len(new)} of new adapters stay as they are" if new else ""
        logging.info(
            f"--init_param {spec}: fills all of {len(wanted)} parameters{kept}"
        )
