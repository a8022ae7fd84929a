"""The pre-trained transformers inside an ESPnet model."""

from typing import Any, NamedTuple

import torch

from espnet_samu.utils.torch_modules import WRAPPED, outside_adapters


class Family(NamedTuple):
    """Module names of a family of transformers models."""

    layers: str
    """The list of layers."""
    self_attention: str
    """A layer's self-attention."""
    feed_forward: str
    """What gives the output of a layer's (last) feed-forward."""
    layer_norms: str
    """Regular expression of the transformer's layer norms."""
    cross_attention: str | None = None
    """A layer's attention to the encoder."""
    lora_targets: tuple[str, ...] = ("q_proj", "v_proj")
    """Linear layers that LoRA is added to unless others are named."""
    not_lora: tuple[str, ...] = ()
    """Linear layers whose weights are read without calling them: LoRA would be
    without effect."""

    @property
    def attention_names(self) -> str:
        """Return a regular expression for self-attention parameters."""
        return rf"^{self.layers}\.\d+\.{self.self_attention}\."

    @property
    def cross_attention_names(self) -> str | None:
        """Return a regular expression for cross-attention and its layer norm."""
        if self.cross_attention is None:
            return None
        return rf"^{self.layers}\.\d+\.{self.cross_attention}(_layer_norm)?\."


# The norms among the convolutions over the waveform are not the transformer's.
_ENCODER_NORMS = r"^(encoder|feature_projection)\..*layer_norm\."
_WAVEFORM = Family("encoder.layers", "attention", "feed_forward", _ENCODER_NORMS)
_CONFORMER = Family(
    "encoder.layers",
    "self_attn",
    "ffn2",
    _ENCODER_NORMS,
    lora_targets=("linear_q", "linear_v"),
)
_SEAMLESS = _CONFORMER._replace(
    layer_norms=r"^(encoder\.|feature_projection\.|inner_).*layer_norm\."
)
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
    "wav2vec2-bert": _CONFORMER,
    "seamless_m4t": _SEAMLESS,
    "seamless_m4t_v2": _SEAMLESS,
    "whisper": Family("layers", "self_attn", "fc2", r"layer_norm\."),
    "mbart": _DECODER,
    "m2m_100": _DECODER,
    "bart": _DECODER,
}


# Modules of ESPnet's models by part; below the one of them whose ``model`` is the
# pre-trained transformer.
PARTS = {
    "encoder": ("frontend", "preencoder", "encoder", "postencoder"),
    "decoder": ("decoder",),
}
_OWNERS = {"encoder": "frontend", "decoder": "decoder"}

# Convolutions behind the encoder that shorten the frames (``add_adapter``).
_LENGTH_ADAPTOR = "adapter."


class Part(NamedTuple):
    """Pre-trained transformer of one part of a model."""

    name: str
    """``encoder`` or ``decoder``."""
    model: torch.nn.Module
    """Of transformers."""
    family: Family
    n_layers: int
    """Number of layers, from the first, that the output depends on."""

    def layers(self) -> dict[str, torch.nn.Module]:
        """Return the layers by their name in the model."""
        layers: Any = self.model.get_submodule(self.family.layers)
        return {f"{self.family.layers}.{i}": layers[i] for i in range(self.n_layers)}

    def pretrained(self) -> dict[str, torch.nn.Parameter]:
        """Return the pre-trained parameters by their name in the model.

        Those of adapters and of the length adaptor are not among them.
        """
        return {
            name: parameter
            for name, parameter in outside_adapters(self.model)
            if not name.startswith(_LENGTH_ADAPTOR)
        }


def has_part(model: torch.nn.Module, name: str) -> bool:
    """Return whether an ESPnet model has an encoder or decoder."""
    return getattr(model, _OWNERS[name], None) is not None


def find_part(model: torch.nn.Module, name: str) -> Part | None:
    """Return the pre-trained transformer of a part, None for an unknown family."""
    owner = getattr(model, _OWNERS[name], None)
    inner: Any = getattr(owner, "model", None)
    family = FAMILIES.get(getattr(getattr(inner, "config", None), "model_type", ""))
    if family is None:
        return None
    # frontend_conf: layer
    n_layers = getattr(getattr(owner, "state_choice", None), "layer", None)
    if n_layers is None:
        n_layers = len(inner.get_submodule(family.layers))
    return Part(name, inner, family, n_layers)


def get_part(model: torch.nn.Module, name: str, option: str) -> Part:
    """Return the pre-trained transformer of a part.

    Args:
        model: Of ESPnet.
        name: ``encoder`` or ``decoder``.
        option: What asks for it, for the message.

    Raises:
        ValueError: The model has no such part, or not of a known family.
    """
    part = find_part(model, name)
    if part is not None:
        return part
    if not has_part(model, name):
        raise ValueError(f"{option}: the model has no {name}; leave it out")
    owner = type(getattr(model, _OWNERS[name])).__name__
    choice = {"encoder": "frontend: samu", "decoder": "decoder: mbart"}[name]
    raise ValueError(
        f"{option} is for the {name} of a known family ({choice}), but "
        f"{_OWNERS[name]} is {owner}: only 'all' and rules of names can be used for "
        "it, as trainable: [['^decoder', false]]"
    )


def names_of(
    model: torch.nn.Module, part: str | None
) -> dict[torch.nn.Parameter, tuple[str, ...]]:
    """Return all state-dict names of each parameter of a part.

    A tied output layer has the name of the embedding and its own.

    Args:
        model: Of ESPnet.
        part: ``encoder``, ``decoder`` or None: the whole model.
    """
    names: dict[torch.nn.Parameter, tuple[str, ...]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if part is None or name.split(".")[0] in PARTS[part]:
            known = names.get(parameter, ())
            names[parameter] = (*known, name.replace(WRAPPED, ""))
    return names
