"""SeamlessM4T's text decoder as the decoder of an M2M-100.

It was initialised from NLLB's, and so has the layers of M2M-100 under other names. One
difference is left, in training alone: M2M-100 has a dropout after the feed-forward,
SeamlessM4T has none there.
"""

import re
from typing import Any

TYPES = ("seamless_m4t", "seamless_m4t_v2")
"""``model_type`` of version 1 (medium, large) and 2 (large)."""

KEY_MAPPING = {
    r"^shared\.": "model.shared.",
    r"^text_encoder\.": "model.encoder.",
    r"^text_decoder\.": "model.decoder.",
    # Whole names: transformers lets a pattern end where a name does.
    r"\.cross_attention\.": ".encoder_attn.",
    r"\.cross_attention_layer_norm\.": ".encoder_attn_layer_norm.",
    r"\.ffn\.fc1\.": ".fc1.",
    r"\.ffn\.fc2\.": ".fc2.",
    r"\.ffn_layer_norm\.": ".final_layer_norm.",
}
"""Regular expressions for names in a checkpoint, and what M2M-100 has there."""

# Fields of M2M-100 with another name.
_FIELDS = {"d_model": "hidden_size", "init_std": "initializer_range"}


def decoder_fields(config: Any) -> dict[str, Any]:
    """Return the fields of an ``M2M100Config`` for the text decoder.

    Args:
        config: A ``SeamlessM4TConfig`` or ``SeamlessM4Tv2Config``.
    """
    same = """vocab_size max_position_embeddings decoder_layers decoder_ffn_dim
        decoder_attention_heads decoder_layerdrop activation_function dropout
        attention_dropout activation_dropout scale_embedding pad_token_id bos_token_id
        eos_token_id decoder_start_token_id tie_word_embeddings"""
    names = {**{name: name for name in same.split()}, **_FIELDS}
    fields = {name: getattr(config, theirs) for name, theirs in names.items()}
    return {"model_type": "m2m_100", **fields}


def decoder_name(name: str) -> str:
    """Return M2M-100's name of a tensor of SeamlessM4T."""
    for pattern, replacement in KEY_MAPPING.items():
        name = re.sub(pattern, replacement, name)
    return name
