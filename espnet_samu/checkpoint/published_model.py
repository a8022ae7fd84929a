"""Reading of published speech encoder-decoders (SpeechEncoderDecoderModel)."""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import torch
from typeguard import typechecked

from espnet_samu.text.checkpoint import open_tensors
from espnet_samu.text.tokenizer_files import save_tokenizer
from espnet_samu.utils import hub, huggingface, seamless
from espnet_samu.utils.safe_reading import read_json
from espnet_samu.utils.state_dict import check_tensors, rename_tensor, shape_of
from espnet_samu.utils.waveform import SAMPLING_RATE

# Our names and transformers' for the same weights.
_NAMES = {
    r"frontend\.model\.(.+)": r"encoder.\1",
    r"decoder\.linear_in\.(.+)": r"enc_to_dec_proj.\1",
    r"decoder\.model\.model\.decoder\.(.+)": r"decoder.model.decoder.\1",
    r"decoder\.model\.lm_head\.(.+)": r"decoder.lm_head.\1",
}
# Names before torch 2.1.
_NEW_NAMES = {
    r"(.+\.pos_conv_embed\.conv)\.weight_g": r"\1.parametrizations.weight.original0",
    r"(.+\.pos_conv_embed\.conv)\.weight_v": r"\1.parametrizations.weight.original1",
}
_EMBEDDING = "decoder.model.decoder.embed_tokens.weight"
_OUTPUT_LAYER = "decoder.lm_head.weight"
# The shared embedding and the bias of the logits: transformers' language models of
# mBART have neither.
_OURS_ALONE = ("decoder.model.model.shared.weight", "decoder.model.final_logits_bias")
# SpecAugment's vector: some checkpoints lack it, some have it and do not use it.
_MASK = "encoder.masked_spec_embed"
# Rows that are compared at once.
_ROWS = 8192


@torch.no_grad()
def fill(model: torch.nn.Module, files: list[Path], tied: bool = True) -> None:
    """Load all of a published model's weights into an ``ESPnetSTModel``.

    Args:
        model: Built as the published configuration says.
        files: From ``text.checkpoint.find_weights``.
        tied: Whether the checkpoint may have only one of embedding and output layer,
            which is then the other one, too.

    Raises:
        ValueError: Weights are missing, unknown or of another shape; names them. Or
            the output layer is not the embedding.
    """
    tensors = {rename_tensor(k, _NEW_NAMES): v for k, v in open_tensors(files).items()}
    wanted = {rename_tensor(k, _NAMES): v for k, v in model.state_dict().items()}
    shared, bias = (wanted.pop(name) for name in _OURS_ALONE)
    assert shared.data_ptr() == wanted[_EMBEDDING].data_ptr()
    bias.zero_()
    if _MASK not in wanted and tensors.pop(_MASK, None) is not None:
        logging.info(f"{_MASK} is left out: the configuration masks nothing")
    if _MASK in wanted and _MASK not in tensors:
        logging.warning(f"{_MASK} is not in the checkpoint: it stays random")
        del wanted[_MASK]
    _tie(wanted, tensors, tied)
    check_tensors("the checkpoint does not fit its config.json", tensors, wanted)
    for name, value in wanted.items():
        value.copy_(tensors[name][...])


def _tie(wanted: dict[str, Any], tensors: dict[str, Any], tied: bool) -> None:
    """Check that published embedding and output layer, tied here, are equal."""
    there = [name for name in (_EMBEDDING, _OUTPUT_LAYER) if name in tensors]
    if len(there) == 2 and not equal_tensors(*(tensors[name] for name in there)):
        raise ValueError(
            f"the output layer ({_OUTPUT_LAYER}) is not the embedding ({_EMBEDDING}); "
            "decoder: mbart has one tensor for both"
        )
    if len(there) == 1 and tied:
        del wanted[_OUTPUT_LAYER if there[0] == _EMBEDDING else _EMBEDDING]


def equal_tensors(first: Any, second: Any) -> bool:
    """Return whether two tensors of files are equal; they are not read as a whole."""
    size = shape_of(first)[0]
    return shape_of(first) == shape_of(second) and all(
        torch.equal(first[row : row + _ROWS], second[row : row + _ROWS])
        for row in range(0, size, _ROWS)
    )


# Search settings that st_inference does not support, with the values that leave the
# search as it is.
_NEUTRAL = {
    "do_sample": False,
    "early_stopping": False,
    "num_beam_groups": 1,
    "diversity_penalty": 0.0,
    "repetition_penalty": 1.0,
    "encoder_repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
    "bad_words_ids": None,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
}
# If the model sets no length [ours]: that of conf/decode_st.yaml.
_MOST_TOKENS = 200


class Decoding(NamedTuple):
    """First and last tokens of a translation, and search settings."""

    start: int
    """Row of the token that the decoder reads first."""
    language: int | None
    """Row of the target-language token that is forced after it, if one is."""
    end: int
    """Row of the end token."""
    forced_end: int | None
    """Row of the token that is forced in the last place of the greatest length."""
    options: dict[str, Any]
    """Options of st_inference: beam_size, maxlenratio, ..."""
    left_out: dict[str, Any]
    """transformers' settings that st_inference does not have."""
    languages: dict[str, int]
    """Rows of the language tokens of SeamlessM4T by three-letter code."""


def read_decoding(
    source: str, fields: dict[str, Any], revision: str | None, n_given: int = 0
) -> Decoding:
    """Read the settings that ``generate`` of a published model uses.

    Args:
        source: Hub id or folder.
        fields: Its config.json.
        revision: Branch, tag or commit on the hub.
        n_given: Number of tokens after the start token that are given to ``generate``.

    Raises:
        ValueError: There is no start token, or not one end token.
    """
    from transformers import GenerationConfig

    try:
        config = GenerationConfig.from_pretrained(source, revision=revision or "main")
    except OSError:
        # Checkpoints of 2021 and 2022 have no generation_config.json.
        config = GenerationConfig.from_model_config(dict(fields))
    start = config.decoder_start_token_id
    start = config.bos_token_id if start is None else start
    if start is None:
        raise ValueError(
            f"{source} does not define the first token of translations: there is no "
            "decoder_start_token_id in its generation_config.json or config.json"
        )
    end = config.eos_token_id
    end = end if isinstance(end, list) else [end]
    if len(end) != 1 or end[0] is None:
        raise ValueError(
            f"{source}: eos_token_id is {config.eos_token_id}; one end token is allowed"
        )
    prefix = 1 if config.forced_bos_token_id is None else 2
    return Decoding(
        start=start,
        language=config.forced_bos_token_id,
        end=end[0],
        forced_end=config.forced_eos_token_id,
        options=_options(config, prefix, n_given),
        left_out=_left_out(config),
        languages=getattr(config, "text_decoder_lang_to_code_id", {}),
    )


def _options(config, prefix: int, n_given: int) -> dict[str, Any]:
    """Return search settings, with lengths counted as ESPnet does (no prefix)."""

    def tokens(total: int | None, new: int | None) -> int | None:
        if total is not None:
            total -= n_given  # they are not new tokens
        total = total if new is None else new + 1
        return None if total is None else total - prefix

    longest = tokens(config.max_length, config.max_new_tokens) or _MOST_TOKENS
    shortest = tokens(config.min_length, config.min_new_tokens) or 0
    return {
        "beam_size": config.num_beams or 1,
        "normalize_length": config.length_penalty != 0.0,
        "maxlenratio": -max(1, longest),
        "minlenratio": -max(0, shortest),
    }


def _left_out(config) -> dict[str, Any]:
    values = {name: getattr(config, name, None) for name in _NEUTRAL}
    left_out = {k: v for k, v in values.items() if v not in (None, _NEUTRAL[k])}
    if config.length_penalty not in (None, 0.0, 1.0):
        left_out["length_penalty"] = config.length_penalty
    return left_out


ENCODERS = ("wav2vec2", "hubert", "wavlm")
DECODERS = ("mbart",)
_MODEL_TYPE = "speech-encoder-decoder"


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
    def __init__(self, source: str, revision: str | None = None):
        from transformers import AutoConfig
        from transformers.utils import cached_file

        self.source = source = hub.locate(source, revision)
        self.revision = revision
        path = cached_file(source, "config.json", revision=revision)
        if path is None:
            raise FileNotFoundError(f"{source} has no config.json")
        fields = read_json(path)
        # Before transformers reads it, which no longer knows all of the types.
        _check_types(source, fields)
        self.config = AutoConfig.from_pretrained(
            source, revision=revision, trust_remote_code=False
        )
        self.decoding = read_decoding(source, fields, revision)

    @property
    def tied(self) -> bool:
        """Whether the decoder's output layer is its embedding."""
        return self.config.decoder.tie_word_embeddings

    def frontend_conf(self) -> dict[str, Any]:
        """Return ``frontend_conf`` of the encoder, with its adapter."""
        return {
            "model_conf": huggingface.portable(self.config.encoder),
            "pretrained": False,
            "normalize_waveform": self._normalizes(),
        }

    def decoder_conf(self) -> dict[str, Any]:
        """Return ``decoder_conf`` of ``mbart``."""
        decoding = self.decoding
        fields = {
            **huggingface.portable(self.config.decoder),
            # Published as a language model; here it is the decoder of a whole mBART.
            "is_decoder": False,
            "is_encoder_decoder": True,
            "encoder_layers": 0,
            "decoder_start_token_id": decoding.start,
            "eos_token_id": decoding.end,
            "forced_eos_token_id": decoding.forced_end,
        }
        return {"model_conf": fields, "pretrained": False}

    def save_tokenizer(self, folder: Path) -> list[str]:
        """Write the tokeniser; see :func:`save_tokenizer`."""
        size = self.config.decoder.vocab_size
        return save_tokenizer(self.source, self.revision, folder, size)

    def target_language(self, name: str | None, tokens: list[str]) -> str | None:
        """Return the token of a target language, by default that of the decoding."""
        if name is None and self.decoding.language is not None:
            return tokens[self.decoding.language]
        return name

    def fill(self, model: torch.nn.Module, files: list[Path]) -> None:
        """Load the weights; see :func:`fill`."""
        fill(model, files, self.tied)

    def _normalizes(self) -> bool:
        """Return whether the encoder takes normalised waveforms."""
        from transformers import Wav2Vec2FeatureExtractor

        return read_extractor(
            self.source,
            self.revision,
            Wav2Vec2FeatureExtractor,
            "neither preprocessor_config.json nor processor_config.json, which tell "
            "whether the encoder takes normalised waveforms (do_normalize)",
        ).do_normalize


def read_extractor(
    source: str, revision: str | None, kind: type[Any], lacking: str
) -> Any:
    """Return the feature extractor of a published speech encoder.

    Args:
        source: Hub id or folder.
        revision: Branch, tag or commit on the hub.
        kind: The class that is known.
        lacking: Says in the message what the source lacks without one: "no ...".

    Raises:
        ValueError: There is none, or it is of another class or sampling rate.
    """
    from transformers import AutoFeatureExtractor

    try:
        extractor = AutoFeatureExtractor.from_pretrained(
            source, revision=revision, trust_remote_code=False
        )
    except OSError as error:
        raise ValueError(f"{source} has {lacking}") from error
    if type(extractor) is not kind or extractor.sampling_rate != SAMPLING_RATE:
        raise ValueError(
            f"{source}: waveforms are prepared by {type(extractor).__name__} at "
            f"{extractor.sampling_rate} Hz; only {kind.__name__} at "
            f"{SAMPLING_RATE} Hz is known here"
        )
    return extractor


def _check_types(source: str, fields: dict[str, Any]) -> None:
    """Raise an error unless config.json is of a supported type."""
    allowed = (
        f"st_import takes model_type '{_MODEL_TYPE}' with an encoder of "
        f"{', '.join(ENCODERS)} and a decoder of {', '.join(DECODERS)}; or "
        f"{', '.join(seamless.TYPES)}"
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
