"""Vocabulary of a pre-trained model: sentencepiece model and embedding rows."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import sentencepiece
from sentencepiece import SentencePieceProcessor, sentencepiece_model_pb2
from typeguard import typechecked

from espnet_samu.text.layout import Layout
from espnet_samu.utils.safe_reading import check_no_pointer


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
