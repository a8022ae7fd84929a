"""Vocabulary of a pre-trained model: token layout, sentencepiece model, token list."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import sentencepiece
from sentencepiece import SentencePieceProcessor, sentencepiece_model_pb2
from typeguard import typechecked

from espnet_samu.text.languages import MBART25_CODES, MBART50_CODES
from espnet_samu.utils import seamless
from espnet_samu.utils.language_codes import is_code
from espnet_samu.utils.safe_reading import check_no_pointer

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


def read_token_list(token_list: str | Path | Sequence[str]) -> list[str]:
    """Read a token list from a file of one token a line, or return a list.

    An experiment's config.yaml has the list, its command line the file.
    """
    if not isinstance(token_list, (str, Path)):
        return list(token_list)
    check_no_pointer(token_list)
    with open(token_list, encoding="utf-8") as file:
        return [line.rstrip() for line in file]


def read_bpemodel(path: str | Path) -> SentencePieceProcessor:
    """Read a sentencepiece model.

    Raises:
        ValueError: It is missing, or none; names it.
    """
    check_no_pointer(path)
    try:
        return SentencePieceProcessor(model_file=str(path))
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"bpemodel {path} is not a sentencepiece model, or damaged ({error})"
        ) from error


def check_bpemodel(path: str | Path, tokens: Sequence[str]) -> None:
    """Raise an error unless a sentencepiece model fits a token list.

    ESPnet takes pieces that are not in the list for ``<unk>``.

    Raises:
        ValueError: It is no such model, or has pieces that are not in the list.
    """
    model = read_bpemodel(path)
    pieces = [
        model.id_to_piece(i)
        for i in range(len(model))
        if not (model.is_unknown(i) or model.is_control(i) or model.is_unused(i))
    ]
    foreign = sorted({*pieces} - {*tokens})
    if foreign:
        raise ValueError(
            f"bpemodel {path} does not match the token list: "
            f"{len(foreign)} of {len(pieces)} pieces are not in it, e.g. "
            f"{' '.join(foreign[:3])}; name the two that stage 5 wrote together"
        )


_WORD_START = "▁"
_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_Type = sentencepiece_model_pb2.ModelProto.SentencePiece.Type
# Types of pieces that are always kept: they are not learned from text.
_FIXED = (_Type.UNKNOWN, _Type.CONTROL, _Type.USER_DEFINED, _Type.BYTE)


class Vocabulary:
    """Tokens and sentencepiece model of a pre-trained model.

    Args:
        proto: The sentencepiece model.
        layout: Tokens by row.

    Raises:
        ValueError: The sentencepiece model is neither unigram nor bpe.
    """

    @typechecked
    def __init__(self, proto: sentencepiece_model_pb2.ModelProto, layout: Layout):
        trainer = proto.trainer_spec
        if trainer.model_type not in (trainer.UNIGRAM, trainer.BPE):
            raise ValueError(
                f"sentencepiece.bpe.model: model_type {trainer.model_type} is neither "
                "unigram nor bpe"
            )
        self.proto = proto
        self.layout = layout
        self.is_bpe = trainer.model_type == trainer.BPE
        self.rows = row = {token: i for i, token in enumerate(layout.tokens)}
        self.languages: dict[str, int] = {code: row[code] for code in layout.languages}
        fixed = [p.piece for p in proto.pieces if p.type in _FIXED]
        self.special: list[int] = sorted(
            {row[token] for token in (*_SPECIAL, *fixed) if token in row}
        )
        # A piece without a row, as M2M-100 has them, is spelled with others.
        ordinary = [
            p
            for p in proto.pieces
            if p.type == _Type.NORMAL and p.piece in row and _fits_a_line(p.piece)
        ]
        self.pieces: dict[str, int] = {p.piece: row[p.piece] for p in ordinary}
        self.scores: dict[str, float] = {p.piece: p.score for p in ordinary}

    def __len__(self) -> int:
        return len(self.layout.tokens)

    @property
    def least_probable(self) -> int | None:
        """Row of the least probable piece, the cost of <unk>; None for BPE."""
        if self.is_bpe:
            return None
        return self.pieces[min(self.pieces, key=self.scores.__getitem__)]

    def processor(
        self, characters: Sequence[str] = ()
    ) -> sentencepiece.SentencePieceProcessor:
        """Return the full model's tokeniser, with characters added as pieces."""
        return sentencepiece.SentencePieceProcessor(
            model_proto=self.trimmed_model(None, characters)
        )

    def rows_of(self, pieces: Sequence[str]) -> list[int]:
        """Return the rows of the full model's pieces, without bare word starts."""
        pieces = [piece for piece in pieces if piece != _WORD_START] or [_WORD_START]
        return [self.rows.get(piece, self.rows["<unk>"]) for piece in pieces]

    def trimmed_model(
        self, rows: Iterable[int] | None, characters: Sequence[str] = ()
    ) -> bytes:
        """Return a sentencepiece model file of some rows, in its own order.

        Args:
            rows: Rows to keep; None: all pieces.
            characters: User-defined pieces to add: the normalisation leaves them as
                they are, and no other piece covers them.
        """
        if rows is None and not characters:
            return self.proto.SerializeToString()
        if rows is None:
            kept = {p.piece for p in self.proto.pieces}
        else:
            kept = {self.layout.tokens[row] for row in rows}
        kept.difference_update(characters)
        proto = sentencepiece_model_pb2.ModelProto()
        proto.CopyFrom(self.proto)
        del proto.pieces[:]
        proto.pieces.extend(
            p for p in self.proto.pieces if p.type in _FIXED or p.piece in kept
        )
        for character in characters:
            proto.pieces.add(piece=character, score=0.0, type=_Type.USER_DEFINED)
        proto.trainer_spec.vocab_size = len(proto.pieces)
        return proto.SerializeToString()

    def tokenizer_files(
        self, rows: Sequence[int], added: Iterable[str], characters: Iterable[str] = ()
    ) -> dict[str, str]:
        """Return the tokenizer files beside the sentencepiece model, by name.

        Args:
            rows: Kept rows in ascending order.
            added: Language codes after them and the characters.
            characters: Added pieces, after the rows.
        """
        name = self.layout.tokenizer_class
        if name is None:
            return {}
        config: dict[str, Any] = {
            "tokenizer_class": name,
            "additional_special_tokens": list(added),
        }
        pieces = {
            str(i): {"content": character, "normalized": False, "special": False}
            for i, character in enumerate(characters, len(rows))
        }
        if pieces:
            config["added_tokens_decoder"] = pieces
        files = {"tokenizer_config.json": json.dumps(config, indent=2)}
        if name == "M2M100Tokenizer":
            codes = set(self.languages)
            tokens = [self.layout.tokens[row] for row in rows]
            tokens = [token for token in tokens if token not in codes]
            vocab = {token: i for i, token in enumerate(tokens)}
            files["vocab.json"] = json.dumps(vocab, ensure_ascii=False)
        return files


def _fits_a_line(piece: str) -> bool:
    """Return whether ESPnet reads a piece from a token list unchanged."""
    return piece == piece.rstrip() != "" and not {"\r", "\n"} & set(piece)
