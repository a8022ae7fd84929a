"""Target languages by the names that corpora have for them."""

from pathlib import Path
from typing import Dict, Iterable, Optional, Sequence, Union

import torch
from typeguard import typechecked

from espnet_samu.text.languages import is_code, to_code
from espnet_samu.utils.kaldi_io import read_text

UTT2TGT_LANG = "utt2tgt_lang"


class TargetLanguages:
    """Rows of a token list by the names of languages.

    A name is a code of the list (``de_DE``), the code of another model
    (``deu_Latn``, ``__de__``), or ISO 639-1 with or without a region (``de``,
    ``zh-CN``).

    Args:
        token_list: Tokens; line n is row n of the embedding.
    """

    @typechecked
    def __init__(self, token_list: Sequence[str]):
        self._rows = {t: row for row, t in enumerate(token_list) if is_code(t)}
        self.codes = list(self._rows)
        self._found: Dict[str, int] = {}

    def id(self, name: str) -> int:
        """Row of a language.

        Raises:
            ValueError: The token list does not have it.
        """
        if name not in self._found:
            self._found[name] = self._rows[self._code(name)]
        return self._found[name]

    def ids(self, names: Iterable[str]) -> torch.Tensor:
        """Rows (B,) of the languages of a batch."""
        return torch.tensor([self.id(name) for name in names], dtype=torch.long)

    def _code(self, name: str) -> str:
        if name in self._rows:
            return name
        if not self.codes:
            raise ValueError(
                f"target language '{name}': the token list has no language codes, "
                "such as en_XX; mBART's has (--tgt_token_type hugging_face)"
            )
        try:
            return to_code(name, self.codes)
        except ValueError as error:
            listed = ", ".join(self.codes)
            message = f"target {error}"
            if listed not in message:
                message += f". The token list has {listed}"
            raise ValueError(message) from None


def find_tgt_langs(wav_scp: Union[str, Path]) -> Optional[Dict[str, str]]:
    """Target languages of the utterances of a data folder.

    Args:
        wav_scp: The folder's ``wav.scp``, or another file in it.

    Returns:
        Name of the language of each utterance, as ``utt2tgt_lang`` beside the file
        has it; None if there is no such file: all are of the default language.

    Raises:
        ValueError: The file is malformed, or an utterance has no language.
    """
    path = Path(wav_scp).parent / UTT2TGT_LANG
    return read_text(path, allow_empty=False) if path.exists() else None
