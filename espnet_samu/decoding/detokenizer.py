"""From tokens to text."""

from pathlib import Path
from typing import Optional, Sequence

from espnet2.text.build_tokenizer import build_tokenizer
from typeguard import typechecked

from espnet_samu.text.languages import is_code
from espnet_samu.utils import hub
from espnet_samu.utils.token_list import read_bpemodel

# Tokens without a text, of ESPnet's token lists and of mBART's.
_SILENT = frozenset(["<blank>", "<sos/eos>", "<s>", "<pad>", "</s>", "<mask>"])


class Detokenizer:
    """Text of tokens, of any of ESPnet's token types.

    Special tokens and language codes have no text.

    Args:
        token_type: ``hugging_face``, ``bpe``, ``char``, ``word``, ...
        bpemodel: For ``bpe`` the file of a sentencepiece model, for ``hugging_face``
            the folder or hub id of a tokenizer.

    Raises:
        ConnectionError: See :func:`espnet_samu.utils.hub.locate`.
        FileNotFoundError: There is no such file, folder or hub id.
        ValueError: There is none, or it is none of a tokenizer.
    """

    @typechecked
    def __init__(self, token_type: str, bpemodel: Optional[str] = None):
        if token_type == "bpe" and not Path(bpemodel or "").is_file():
            raise FileNotFoundError(
                f"bpemodel '{bpemodel}', the sentencepiece model of the translations, "
                "is missing; name it with --bpemodel"
            )
        if token_type == "bpe":
            read_bpemodel(bpemodel)  # ESPnet reads it at the first text
        if token_type == "hugging_face" and bpemodel is not None:
            bpemodel = _locate(bpemodel)
        try:
            self.tokenizer = build_tokenizer(token_type, bpemodel)
            if token_type == "hugging_face":
                # ESPnet reads it at the first text, and may ask whether to run code.
                from transformers import AutoTokenizer

                self.tokenizer.tokenizer = AutoTokenizer.from_pretrained(
                    bpemodel, trust_remote_code=False
                )
        except (OSError, ValueError) as error:
            if token_type != "hugging_face":
                raise
            raise ValueError(
                f"bpemodel '{bpemodel}' is no tokenizer of transformers; name one with "
                f"--bpemodel ({_first_line(error)})"
            ) from error

    def __call__(self, tokens: Sequence[str]) -> str:
        """Text of tokens, one line."""
        heard = [t for t in tokens if t not in _SILENT and not is_code(t)]
        return " ".join(self.tokenizer.tokens2text(heard).splitlines())


def _locate(model: str) -> str:
    """Where a tokenizer is read from."""
    try:
        return hub.locate(model)
    except OSError as error:
        raise type(error)(
            f"bpemodel {error}; name another with --bpemodel, or decode a packed model "
            "(stage 14), which brings its tokenizer along"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
