"""Pre-trained decoders of transformers: families, configurations, positions."""

from typing import Any

import torch
from transformers import (
    BartForConditionalGeneration,
    GenerationConfig,
    M2M100ForConditionalGeneration,
    MBartForConditionalGeneration,
)
from transformers.models.m2m_100.modeling_m2m_100 import (
    M2M100SinusoidalPositionalEmbedding,
)

from espnet_samu.utils import huggingface, seamless


class TokenPositions(M2M100SinusoidalPositionalEmbedding):
    """M2M-100's position embeddings with mBART's interface.

    transformers' own do not count padding and know it by its token id: a hypothesis
    with that token in it would get other positions read at once than read step by
    step. Here position n is the n-th token, whatever it is.

    Args:
        config: An ``M2M100Config``.
    """

    padding_idx: int

    def __init__(self, config: Any) -> None:
        # The vector of the first token follows that of the padding, and the table of
        # transformers has room for a padding_idx of 1.
        extra = max(0, config.pad_token_id - 1)
        super().__init__(
            config.max_position_embeddings + extra, config.d_model, config.pad_token_id
        )

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        past_key_values_length: int = 0,
        position_ids: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return embeddings (1, L, D) of positions (L,) or of the next ones."""
        if position_ids is None:
            tokens = inputs_embeds if input_ids is None else input_ids
            assert tokens is not None
            length = tokens.size(1)
            position_ids = torch.arange(length, device=tokens.device)
            position_ids = position_ids + past_key_values_length
        return self.weights[position_ids + self.padding_idx + 1][None]


# Their decoders have the same parts: a scaled embedding, position vectors, layers of
# self-attention, attention to the encoder and feed-forward, a tied output layer.
FAMILIES: dict[str, Any] = {
    "mbart": MBartForConditionalGeneration,
    "m2m_100": M2M100ForConditionalGeneration,
    "bart": BartForConditionalGeneration,
}
_TEXT_ENCODER = r"(model\.)?encoder\."
_NAMES = (
    "mbart (mBART-25, mBART-50), m2m_100 (text decoder of SeamlessM4T, M2M-100, NLLB), "
    "bart"
)


def load_decoder_config(
    vocab_size: int,
    model: str | None,
    model_conf: dict[str, Any],
    revision: str | None = None,
    is_written: bool = False,
):
    """Return the configuration of a pre-trained or untrained decoder.

    That of SeamlessM4T's text decoder is an M2M-100's.

    Args:
        vocab_size: Length V of ESPnet's token list.
        model: Hub id or folder; None: a fresh decoder.
        model_conf: Fields that replace the pre-trained ones, or those of the fresh
            decoder: an mBART if there is no ``model_type``.
        revision: Branch, tag or commit on the hub.
        is_written: See :func:`espnet_samu.utils.huggingface.load_config`.

    Raises:
        ValueError: The model is of another family, or has another number of tokens.
    """
    wanted = model_conf.get("model_type", "mbart" if model is None else None)
    if wanted is not None:
        _check_type(wanted)
    conf, source = dict(model_conf), model
    if model is None:
        fresh = str(wanted)
        conf = {"model_type": fresh, **_special_tokens(fresh, vocab_size), **conf}
    elif _is_seamless(model, revision):
        given = {} if wanted in (None, "m2m_100") else {"model_type": wanted}
        whole = huggingface.load_config(model, given, revision)
        conf, source = {**seamless.decoder_fields(whole), **conf}, None
    config = huggingface.load_config(source, conf, revision, is_written)
    _check_type(config.model_type)
    if config.vocab_size != vocab_size:
        raise ValueError(
            f"decoder_conf: the model has {config.vocab_size} tokens, but the "
            f"token list has {vocab_size}; use --tgt_token_type hugging_face "
            f"--hugging_face_model_name_or_path {model}"
        )
    # No layers of the text encoder: nothing here uses them.
    config.encoder_layers = 0
    config.tie_word_embeddings = True
    return config


def build_decoder(
    model: str | None,
    config,
    revision: str | None = None,
    attention: str | None = None,
    is_rebuilt: bool = False,
):
    """Build a decoder without its text encoder, with pre-trained or random weights.

    Args:
        model: Hub id or folder; None: random weights.
        config: From :func:`load_config`.
        revision: Branch, tag or commit on the hub.
        attention: ``sdpa``, ``eager`` or None: transformers' choice.
        is_rebuilt: A pre-trained decoder whose weights a checkpoint will bring: they
            are made with little time and memory.

    Raises:
        ValueError: The checkpoint has an output layer that is not its embedding.
    """
    model_class = FAMILIES[config.model_type]
    huggingface.set_attention(config, model_class, attention)
    if is_rebuilt:
        built = _build_lean(model_class, config)
    else:
        is_seamless = model is not None and _is_seamless(model, revision)
        built = huggingface.build(
            model_class,
            model,
            config,
            revision,
            seamless.KEY_MAPPING if is_seamless else None,
            dropped=_TEXT_ENCODER,
        )
    if built.lm_head.weight is not built.model.shared.weight:
        raise ValueError(
            f"decoder_conf: the output layer of {model} is not its embedding; only "
            "models with tie_word_embeddings are supported"
        )
    built.model.encoder = NoEncoder()
    # The published one says how to search: num_beams, no_repeat_ngram_size, ...
    built.generation_config = GenerationConfig()
    if config.model_type == "m2m_100":
        built.model.decoder.embed_positions = TokenPositions(config)
    return built


def _build_lean(model_class, config):
    """Build with random weights, allocating each tensor once.

    transformers' constructor fills the embedding four times before it ties them: 4
    GB for mBART-50, where the decoder has 1.8. The random numbers are others than the
    constructor's, so not for a fresh decoder, whose training a seed repeats.
    """
    with huggingface.quiet():  # it would list all weights as missing
        return model_class.from_pretrained(None, config=config, state_dict={})


def _is_seamless(model: str, revision: str | None) -> bool:
    return huggingface.read_model_type(model, revision) in seamless.TYPES


def _check_type(model_type: str) -> None:
    if model_type not in FAMILIES:
        raise ValueError(
            f"decoder_conf: model_type '{model_type}' is not one of {_NAMES}"
        )


def _special_tokens(model_type: str, vocab_size: int) -> dict[str, Any]:
    """Return special tokens of ESPnet's own lists: <blank> first, <sos/eos> last.

    They are only names here; sos and eos come with the batches.
    """
    last = vocab_size - 1
    tokens = {
        "vocab_size": vocab_size,
        "pad_token_id": 0,
        "bos_token_id": last,
        "eos_token_id": last,
        "decoder_start_token_id": last,
        "forced_eos_token_id": None,
    }
    if not hasattr(FAMILIES[model_type].config_class(), "forced_eos_token_id"):
        del tokens["forced_eos_token_id"]
    return tokens


class NoEncoder(torch.nn.Module):
    """Placeholder of the text encoder, without parameters."""

    main_input_name = "input_ids"

    def forward(self, *args: Any, **kwargs: Any):
        raise RuntimeError("the text encoder is not part of this decoder")
