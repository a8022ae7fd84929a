"""Where the parts of a pre-trained transformer are, by its family."""

from typing import NamedTuple, Optional, Tuple


class Family(NamedTuple):
    """Names inside a model of transformers."""

    layers: str
    """The list of layers."""
    self_attention: str
    """A layer's self-attention."""
    feed_forward: str
    """What gives the output of a layer's (last) feed-forward."""
    layer_norms: str
    """Regular expression of the transformer's layer norms."""
    cross_attention: Optional[str] = None
    """A layer's attention to the encoder."""
    lora_targets: Tuple[str, ...] = ("q_proj", "v_proj")
    """Linear layers that LoRA is added to unless others are named."""
    not_lora: Tuple[str, ...] = ()
    """Linear layers whose weights are read without calling them: LoRA would be
    without effect."""

    @property
    def attention_names(self) -> str:
        """Regular expression of the parameters of self-attention."""
        return rf"^{self.layers}\.\d+\.{self.self_attention}\."

    @property
    def cross_attention_names(self) -> Optional[str]:
        """Regular expression of attention to the encoder and its layer norm."""
        if self.cross_attention is None:
            return None
        return rf"^{self.layers}\.\d+\.{self.cross_attention}(_layer_norm)?\."


# The norms among the convolutions over the waveform are not the transformer's.
_ENCODER_NORMS = r"^(encoder|feature_projection)\..*layer_norm\."
_WAVEFORM = Family("encoder.layers", "attention", "feed_forward", _ENCODER_NORMS)
_DECODER = Family(
    "model.decoder.layers",
    "self_attn",
    "fc2",
    r"^model\.decoder\..*(layer_norm|layernorm_embedding)\.",
    "encoder_attn",
)

# By model_type.
FAMILIES = {
    "wav2vec2": _WAVEFORM,
    "hubert": _WAVEFORM,
    "wavlm": _WAVEFORM._replace(
        lora_targets=("intermediate_dense", "output_dense"),
        not_lora=("q_proj", "k_proj", "v_proj", "out_proj"),
    ),
    "wav2vec2-bert": Family(
        "encoder.layers",
        "self_attn",
        "ffn2",
        _ENCODER_NORMS,
        lora_targets=("linear_q", "linear_v"),
    ),
    "whisper": Family("layers", "self_attn", "fc2", r"layer_norm\."),
    "mbart": _DECODER,
    "m2m_100": _DECODER,
    "bart": _DECODER,
}
