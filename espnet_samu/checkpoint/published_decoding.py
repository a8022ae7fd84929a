"""How a published translation model is decoded, in the options of st_inference."""

from typing import Any, Dict, NamedTuple, Optional

# Settings that change what is found and that st_inference has not, with the values
# that change nothing.
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
# Where the model tells no length [ours]: that of conf/decode_st.yaml.
_MOST_TOKENS = 200


class Decoding(NamedTuple):
    """Tokens that begin and end a translation, and settings of the search."""

    start: int
    """Row of the token that the decoder reads first."""
    language: Optional[int]
    """Row of the target-language token that is forced after it, if one is."""
    end: int
    """Row of the end token."""
    forced_end: Optional[int]
    """Row of the token that is forced in the last place of the greatest length."""
    options: Dict[str, Any]
    """Options of st_inference: beam_size, maxlenratio, ..."""
    left_out: Dict[str, Any]
    """transformers' settings that st_inference does not have."""


def read(source: str, fields: Dict[str, Any], revision: Optional[str]) -> Decoding:
    """Read what ``SpeechEncoderDecoderModel.generate`` would go by.

    Args:
        source: Hub id or folder.
        fields: Its config.json.
        revision: Branch, tag or commit on the hub.

    Raises:
        ValueError: There is no start token, or not one end token.
    """
    from transformers import GenerationConfig

    try:
        config = GenerationConfig.from_pretrained(source, revision=revision)
    except OSError:
        # Checkpoints of 2021 and 2022 have no file of their own for them.
        config = GenerationConfig.from_model_config(dict(fields))
    start = config.decoder_start_token_id
    start = config.bos_token_id if start is None else start
    if start is None:
        raise ValueError(
            f"{source} does not say with which token translations begin: there is no "
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
        options=_options(config, prefix),
        left_out=_left_out(config),
    )


def _options(config, prefix: int) -> Dict[str, Any]:
    """Settings of the search. ESPnet does not count the prefix, transformers does."""

    def tokens(total: Optional[int], new: Optional[int]) -> Optional[int]:
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


def _left_out(config) -> Dict[str, Any]:
    values = {name: getattr(config, name, None) for name in _NEUTRAL}
    left_out = {k: v for k, v in values.items() if v not in (None, _NEUTRAL[k])}
    if config.length_penalty not in (None, 0.0, 1.0):
        left_out["length_penalty"] = config.length_penalty
    return left_out
