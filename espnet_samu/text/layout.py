"""Token layouts: which row of a published embedding belongs to which token."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from espnet_samu.text.languages import MBART25_CODES, MBART50_CODES
from espnet_samu.utils import seamless
from espnet_samu.utils.language_codes import is_code

# Four tokens of fairseq where sentencepiece has three.
_FIRST = ["<s>", "<pad>", "</s>", "<unk>"]
_FIRST_PIECES = ["<unk>", "<s>", "</s>"]
_FIRST_OF_SEAMLESS = ["<pad>", *_FIRST_PIECES]
_MASK = "<mask>"
# fairseq makes the number of rows a multiple of 8 by rows that nothing uses.
_PADDING = 8


class Layout(NamedTuple):
    """Order of a model's tokens."""

    tokens: list[str]
    """One for each row."""
    languages: list[str]
    """Those that are language codes."""
    tokenizer_class: str | None
    """transformers' class that makes this layout of a sentencepiece model; None for
    NLLB and SeamlessM4T, whose language codes it has from elsewhere."""


def find_layout(
    config: Mapping[str, Any], pieces: Sequence[str], vocab: bytes | None = None
) -> Layout:
    """Return the token layout of mBART-25, mBART-50, NLLB, M2M-100 or SeamlessM4T.

    Args:
        config: Content of config.json: ``model_type`` and ``vocab_size``.
        pieces: All pieces of the sentencepiece model.
        vocab: Content of M2M-100's vocab.json, or of SeamlessM4T's
            tokenizer_config.json.

    Raises:
        ValueError: The model is none of these, or has another number of rows.
    """
    kind, size = config.get("model_type"), config.get("vocab_size")
    if not isinstance(size, int):
        raise ValueError(f"config.json: vocab_size must be a number of rows: {size!r}")
    if kind == "mbart":
        layouts = [
            _shifted(pieces, MBART25_CODES, "MBartTokenizer"),
            _shifted(pieces, MBART50_CODES, "MBart50Tokenizer"),
        ]
        padding = 0
    elif kind == "m2m_100" and vocab is not None:
        from transformers.models.m2m_100 import tokenization_m2m_100

        codes = tokenization_m2m_100.FAIRSEQ_LANGUAGE_CODES["m2m100"]
        layouts, padding = [_m2m100(vocab, codes)], _PADDING
    elif kind == "m2m_100":
        from transformers.models.nllb import tokenization_nllb

        codes = tokenization_nllb.FAIRSEQ_LANGUAGE_CODES
        layouts, padding = [_shifted(pieces, codes, None)], _PADDING
    elif kind in seamless.TYPES:
        layouts, padding = [_seamless(pieces, vocab or b"{}")], _PADDING
    else:
        raise ValueError(
            f"config.json: model_type '{kind}' is none of those that can be trimmed: "
            "mbart (mBART-25, mBART-50), m2m_100 (M2M-100, NLLB), "
            f"{', '.join(seamless.TYPES)}"
        )
    for layout in layouts:
        unused = size - len(layout.tokens)
        if 0 <= unused <= padding:
            tokens = layout.tokens + [f"madeupword{i:04d}" for i in range(unused)]
            if len(set(tokens)) < size:
                raise ValueError(
                    "sentencepiece.bpe.model: a piece is there twice, or is the name "
                    "of a special token or language code"
                )
            return layout._replace(tokens=tokens)
    sizes = " or ".join(str(len(layout.tokens)) for layout in layouts)
    raise ValueError(
        f"config.json: vocab_size is {size}, but with the {len(pieces)} pieces of "
        f"sentencepiece.bpe.model it would be {sizes}. Name the model as published, "
        "without added tokens (see --add_languages)"
    )


def _shifted(
    pieces: Sequence[str], codes: Sequence[str], tokenizer: str | None
) -> Layout:
    """Return the layout: pieces, language codes, <mask>."""
    tokens = [*_FIRST, *_ordinary(pieces), *codes, _MASK]
    return Layout(tokens, list(codes), tokenizer)


def _ordinary(pieces: Sequence[str]) -> Sequence[str]:
    """Return the pieces that follow those of the special tokens."""
    n_first = len(_FIRST_PIECES)
    if list(pieces[:n_first]) != _FIRST_PIECES:
        raise ValueError(
            f"sentencepiece.bpe.model begins with {' '.join(pieces[:n_first])}, but "
            f"should with {' '.join(_FIRST_PIECES)}"
        )
    return pieces[n_first:]


def _seamless(pieces: Sequence[str], tokenizer_config: bytes) -> Layout:
    """Return the layout: pieces, language codes and marks of training data."""
    tokens = [*_FIRST_OF_SEAMLESS, *_ordinary(pieces)]
    added = json.loads(tokenizer_config).get("added_tokens_decoder", {})
    rows = {int(row): token["content"] for row, token in added.items()}
    more = sorted(row for row in rows if row >= len(tokens))
    if not more or more != list(range(len(tokens), len(tokens) + len(more))):
        raise ValueError(
            "tokenizer_config.json: the tokens of added_tokens_decoder, the language "
            f"codes among them, must follow the {len(tokens)} of "
            f"sentencepiece.bpe.model, but are at {more[:3]}; copy both files from the "
            "published model"
        )
    tokens += [rows[row] for row in more]
    return Layout(tokens, [t for t in tokens if is_code(t)], None)


def _m2m100(vocab: bytes, languages: Sequence[str]) -> Layout:
    """Return the layout: tokens of vocab.json, language codes."""
    rows: dict[str, int] = json.loads(vocab)
    tokens = sorted(rows, key=rows.__getitem__)
    if tokens[: len(_FIRST)] != _FIRST or max(rows.values()) != len(rows) - 1:
        raise ValueError(
            f"vocab.json: rows must begin with {' '.join(_FIRST)} and have no gap"
        )
    codes = [f"__{language}__" for language in languages]
    return Layout(tokens + codes, codes, "M2M100Tokenizer")
