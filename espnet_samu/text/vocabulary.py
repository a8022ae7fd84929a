"""A sentencepiece model and the rows of an embedding that its pieces have."""

import json
from typing import Dict, Iterable, List, Optional

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from typeguard import typechecked

from espnet_samu.text.layout import Layout

_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_Type = sentencepiece_model_pb2.ModelProto.SentencePiece.Type
# Those that text never becomes, or that someone defined: they stay as they are.
_FIXED = (_Type.UNKNOWN, _Type.CONTROL, _Type.USER_DEFINED, _Type.BYTE)


class Vocabulary:
    """Tokens of a pre-trained model.

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
        row = {token: i for i, token in enumerate(layout.tokens)}
        self.languages: Dict[str, int] = {code: row[code] for code in layout.languages}
        fixed = [p.piece for p in proto.pieces if p.type in _FIXED]
        self.special: List[int] = sorted(
            {row[token] for token in (*_SPECIAL, *fixed) if token in row}
        )
        # A piece without a row, as M2M-100 has them, is spelled with others.
        ordinary = [
            p
            for p in proto.pieces
            if p.type == _Type.NORMAL and p.piece in row and _fits_a_line(p.piece)
        ]
        self.pieces: Dict[str, int] = {p.piece: row[p.piece] for p in ordinary}
        self.scores: Dict[str, float] = {p.piece: p.score for p in ordinary}

    def __len__(self) -> int:
        return len(self.layout.tokens)

    @property
    def least_probable(self) -> Optional[int]:
        """Row of the piece that sets the cost of an unknown character, if one does."""
        if self.is_bpe:
            return None
        return self.pieces[min(self.pieces, key=self.scores.__getitem__)]

    def processor(self) -> sentencepiece.SentencePieceProcessor:
        """Tokeniser of the full model."""
        return sentencepiece.SentencePieceProcessor(
            model_proto=self.proto.SerializeToString()
        )

    def trimmed_model(self, rows: Iterable[int]) -> bytes:
        """File of the sentencepiece model of some of the rows, in its own order."""
        kept = {self.layout.tokens[row] for row in rows}
        proto = sentencepiece_model_pb2.ModelProto()
        proto.CopyFrom(self.proto)
        del proto.pieces[:]
        proto.pieces.extend(
            p for p in self.proto.pieces if p.type in _FIXED or p.piece in kept
        )
        proto.trainer_spec.vocab_size = len(proto.pieces)
        return proto.SerializeToString()

    def tokenizer_files(
        self, rows: Iterable[int], added: Iterable[str]
    ) -> Dict[str, str]:
        """What transformers reads beside the sentencepiece model, by file name.

        Args:
            rows: Kept rows in ascending order.
            added: Language codes after them.
        """
        name = self.layout.tokenizer_class
        if name is None:
            return {}
        config = {"tokenizer_class": name, "additional_special_tokens": list(added)}
        files = {"tokenizer_config.json": json.dumps(config, indent=2)}
        if name == "M2M100Tokenizer":
            codes = set(self.languages)
            tokens = [self.layout.tokens[row] for row in rows]
            tokens = [token for token in tokens if token not in codes]
            vocab = {token: i for i, token in enumerate(tokens)}
            files["vocab.json"] = json.dumps(vocab, ensure_ascii=False)
        return files


def _fits_a_line(piece: str) -> bool:
    """Whether ESPnet reads a piece from a token list as it was written."""
    return piece == piece.rstrip() != "" and not {"\r", "\n"} & set(piece)
