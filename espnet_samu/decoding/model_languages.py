"""The target languages of a trained model."""

import argparse
from typing import Optional, Sequence

import torch
from espnet2.st.espnet_model import ESPnetSTModel

from espnet_samu.text.target_languages import TargetLanguages


class ModelLanguages:
    """Rows of the target-language tokens, for a model that was trained with them.

    Args:
        model: With an ``mbart`` decoder.
        args: Options of its training.
    """

    def __init__(self, model: ESPnetSTModel, args: argparse.Namespace):
        row = model.decoder.lang_token_id
        self.default = None if row is None else model.token_list[row]
        data = getattr(args, "train_data_path_and_name_and_type", None) or []
        self.is_many = any(name == "tgt_lang" for _, name, _ in data)
        self.known = TargetLanguages(model.token_list)

    @property
    def has_tokens(self) -> bool:
        """Whether translations begin with a language token."""
        return self.default is not None or self.is_many

    def rows(self, names: Sequence[Optional[str]]) -> Optional[torch.Tensor]:
        """Rows (B,) of the languages of a batch, or None: there are no tokens.

        Args:
            names: ``de``, ``de_DE``, ...; None: the default.

        Raises:
            ValueError: The model does not know a language, or has no default.
        """
        if not self.has_tokens:
            named = sorted({name for name in names if name is not None})
            if named:
                raise ValueError(
                    f"tgt_lang {', '.join(named)}: the model was trained without "
                    "target-language tokens (--tgt_lang_token, utt2tgt_lang) and "
                    "translates to one language; leave it out"
                )
            return None
        if self.default is None and None in names:
            raise ValueError(
                "tgt_lang is not given, and the model has no language of its own; it "
                f"knows {', '.join(self.known.codes)}"
            )
        return self.known.ids(self.default if n is None else n for n in names)
