"""What a published translation model says of itself, in the terms of our experiments.

Published: a folder or hub repository of transformers' ``SpeechEncoderDecoderModel``,
as ``facebook/wav2vec2-xls-r-300m-21-to-en`` is.
"""

import json
from pathlib import Path
from typing import Any, Dict, List, Optional

from typeguard import typechecked

from espnet_samu.checkpoint import published_decoding
from espnet_samu.frontend.log_mel import SAMPLING_RATE
from espnet_samu.utils import hub, huggingface

ENCODERS = ("wav2vec2", "hubert", "wavlm")
DECODERS = ("mbart",)
_MODEL_TYPE = "speech-encoder-decoder"
# The only name that ESPnet has for what is not in a token list.
_UNKNOWN = "<unk>"


class PublishedST:
    """Configuration, decoding and tokeniser of a published model; no weights.

    Args:
        source: Hub id or folder.
        revision: Branch, tag or commit on the hub.

    Raises:
        OSError: There is no such model, no network, or a file is missing.
        ValueError: It is of a kind that is not imported; says which are.
    """

    @typechecked
    def __init__(self, source: str, revision: Optional[str] = None):
        from transformers import AutoConfig
        from transformers.utils import cached_file

        self.source = source = hub.locate(source, revision)
        self.revision = revision
        path = cached_file(source, "config.json", revision=revision)
        if path is None:
            raise FileNotFoundError(f"{source} has no config.json")
        fields = json.loads(Path(path).read_text(encoding="utf-8"))
        # Before transformers reads it, which no longer knows all of the types.
        _check_types(source, fields)
        self.config = AutoConfig.from_pretrained(
            source, revision=revision, trust_remote_code=False
        )
        self.decoding = published_decoding.read(source, fields, revision)

    @property
    def tied(self) -> bool:
        """Whether the decoder's output layer is its embedding."""
        return self.config.decoder.tie_word_embeddings

    def frontend_conf(self) -> Dict[str, Any]:
        """``frontend_conf`` of the encoder, its adapter included."""
        return {
            "model_conf": huggingface.portable(self.config.encoder),
            "pretrained": False,
            "normalize_waveform": self._normalizes(),
        }

    def decoder_conf(self) -> Dict[str, Any]:
        """``decoder_conf`` of ``mbart``."""
        decoding = self.decoding
        fields = {
            **huggingface.portable(self.config.decoder),
            # There it is a language model of its own, here a half of mBART.
            "is_decoder": False,
            "is_encoder_decoder": True,
            "encoder_layers": 0,
            "decoder_start_token_id": decoding.start,
            "eos_token_id": decoding.end,
            "forced_eos_token_id": decoding.forced_end,
        }
        return {"model_conf": fields, "pretrained": False}

    def save_tokenizer(self, folder: Path) -> List[str]:
        """Write the tokeniser as ESPnet's ``token_type: hugging_face`` reads it.

        Args:
            folder: Made here.

        Returns:
            Token list: line n is row n of the embedding.

        Raises:
            ValueError: There is no tokeniser, or one of other tokens than the model's.
        """
        from transformers import AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(
                self.source, revision=self.revision, trust_remote_code=False
            )
        # The last one if the kind of tokeniser is not told (transformers 5.23).
        except (OSError, ValueError, AttributeError) as error:
            raise ValueError(
                f"{self.source} has no tokeniser that can be read: it needs "
                "tokenizer.json or sentencepiece.bpe.model, and a "
                "tokenizer_config.json with tokenizer_class, e.g. MBart50Tokenizer"
            ) from error
        tokenizer.save_pretrained(folder)
        # What was written, since that will be used.
        tokenizer = AutoTokenizer.from_pretrained(folder)
        size = self.config.decoder.vocab_size
        tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
        if len(tokens) != size or len(set(tokens)) != size or None in tokens:
            raise ValueError(
                f"{self.source}: the decoder has {size} tokens, but its tokeniser "
                f"({type(tokenizer).__name__}) has {len(set(tokens) - {None})}"
            )
        if _UNKNOWN not in tokens:
            raise ValueError(
                f"{self.source}: ESPnet needs a token {_UNKNOWN}; the tokeniser's "
                f"unknown token is {tokenizer.unk_token}"
            )
        return tokens

    def _normalizes(self) -> bool:
        """Whether the encoder takes waveforms of zero mean and unit variance."""
        from transformers import AutoFeatureExtractor, Wav2Vec2FeatureExtractor

        try:
            extractor = AutoFeatureExtractor.from_pretrained(
                self.source, revision=self.revision, trust_remote_code=False
            )
        except OSError as error:
            raise ValueError(
                f"{self.source} has neither preprocessor_config.json nor "
                "processor_config.json, which tell whether the encoder takes "
                "normalised waveforms (do_normalize)"
            ) from error
        kind = type(extractor)
        if kind is not Wav2Vec2FeatureExtractor or (
            extractor.sampling_rate != SAMPLING_RATE
        ):
            raise ValueError(
                f"{self.source}: waveforms are prepared by {kind.__name__} at "
                f"{extractor.sampling_rate} Hz; only Wav2Vec2FeatureExtractor at "
                f"{SAMPLING_RATE} Hz is known here"
            )
        return extractor.do_normalize


def _check_types(source: str, fields: Dict[str, Any]) -> None:
    """See that a config.json is of a kind that is imported."""
    allowed = (
        f"st_import takes model_type '{_MODEL_TYPE}' with an encoder of "
        f"{', '.join(ENCODERS)} and a decoder of {', '.join(DECODERS)}"
    )
    found = fields.get("model_type")
    if found != _MODEL_TYPE:
        raise ValueError(f"{source}: model_type is '{found}'; {allowed}")
    encoder = fields.get("encoder", {}).get("model_type")
    decoder = fields.get("decoder", {}).get("model_type")
    if encoder not in ENCODERS or decoder not in DECODERS:
        raise ValueError(
            f"{source}: the encoder is '{encoder}' and the decoder '{decoder}'; "
            f"{allowed}"
        )
