"""Hugging Face models by hub id, by local folder or fresh from a configuration.

Imports transformers only when called. Code that comes with a model is never run
(``trust_remote_code`` is False), and weights are read as safetensors or with
``weights_only``.
"""

import logging
from typing import Any, Dict, Optional


def load_config(
    model: Optional[str], conf: Dict[str, Any], revision: Optional[str] = None
):
    """Configuration of a pre-trained or of a fresh model.

    Args:
        model: Hub id or folder, or None for a fresh model.
        conf: Fields that replace those of the pre-trained model, or the fields of
            the fresh one: then ``model_type`` is needed, e.g. ``wav2vec2``.
        revision: Branch, tag or commit on the hub.

    Returns:
        A ``transformers.PretrainedConfig``.

    Raises:
        ValueError: Neither model nor ``model_type`` is given, the model type is
            unknown, or a field is not one of this family's configuration.
    """
    from transformers import AutoConfig
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    if model is not None:
        config = AutoConfig.from_pretrained(
            model, revision=revision, trust_remote_code=False
        )
        conf = {k: v for k, v in conf.items() if k != "model_type"}
    else:
        conf = dict(conf)
        model_type = conf.pop("model_type", None)
        if model_type is None:
            raise ValueError(
                "model_conf: a fresh model needs 'model_type' (e.g. wav2vec2), or "
                "give 'model', a hub id or folder"
            )
        if model_type not in CONFIG_MAPPING:
            raise ValueError(
                f"model_conf: model_type '{model_type}' is not known to transformers"
            )
        config = CONFIG_MAPPING[model_type]()
    for key, value in _FORGOTTEN.get(config.model_type, {}).items():
        setattr(config, key, getattr(config, key, value))
        conf.setdefault(key, getattr(config, key))
    unknown = [k for k in conf if not _is_field(config, k)]
    if unknown:
        raise ValueError(
            f"model_conf: {', '.join(sorted(unknown))} is not a field of "
            f"{type(config).__name__}"
        )
    conf = {config.attribute_map.get(k, k): v for k, v in conf.items()}
    # A new object, since some fields are derived from others; the default object's
    # derived ones (num_feat_extract_layers, output_hidden_size) are not the new one's.
    base = {} if model is None else config.to_dict()
    return type(config).from_dict({**base, **conf})


# What transformers reads of a configuration that has it not (transformers 5.23): with
# mask_feature_prob above 0 WavLM could not be trained.
_FORGOTTEN = {"wavlm": {"mask_feature_min_masks": 0}}

# Written by to_diff_dict, not an attribute of every configuration.
_STORED_ONLY = ("transformers_version", "architectures", "dtype")


def _is_field(config, name: str) -> bool:
    if name in _STORED_ONLY:
        return True
    return hasattr(config, name) and not callable(getattr(config, name))


def set_attention(config, model_class, attention: Optional[str]) -> None:
    """Say in a configuration how attention is computed.

    Args:
        config: From :func:`load_config`.
        model_class: Class of transformers that will be built.
        attention: ``sdpa``, ``eager`` or None: transformers' choice.

    Raises:
        ValueError: There is no such implementation for this model.
    """
    allowed = ["eager"] + (["sdpa"] if model_class._supports_sdpa else [])
    if attention is not None and attention not in allowed:
        raise ValueError(
            f"attn_implementation '{attention}' is not one that {config.model_type} "
            f"has: {', '.join(allowed)}; leave it out for the best of them"
        )
    config._attn_implementation = attention


def cut_layers(config, n_layers: int) -> None:
    """Leave only the first layers in a configuration.

    Args:
        config: From :func:`load_config`.
        n_layers: 1 to ``num_hidden_layers``.

    Raises:
        ValueError: The model has fewer layers.
    """
    if not 1 <= n_layers <= config.num_hidden_layers:
        raise ValueError(
            f"keep_layers is {n_layers}, but {config.model_type} has 1 to "
            f"{config.num_hidden_layers} layers to keep"
        )
    config.num_hidden_layers = n_layers


def build(
    auto_class,
    model: Optional[str],
    config,
    revision: Optional[str] = None,
    key_mapping: Optional[Dict[str, str]] = None,
):
    """Build a model and, if ``model`` is given, fill it with pre-trained weights.

    Args:
        auto_class: A transformers (auto) class with ``from_pretrained``.
        model: Hub id or folder, or None for random weights.
        config: From :func:`load_config`.
        revision: Branch, tag or commit on the hub.
        key_mapping: Regular expressions for names in the checkpoint, and what to put
            there.

    Raises:
        ValueError: The checkpoint lacks weights of the model. transformers would
            fill them with random numbers.
    """
    import torch

    if model is None:
        make = getattr(auto_class, "_from_config", None) or auto_class.from_config
        return make(config)
    built, info = auto_class.from_pretrained(
        model,
        config=config,
        revision=revision,
        dtype=torch.float32,
        key_mapping=key_mapping,
        # Its own error for them names none; ours is below.
        ignore_mismatched_sizes=True,
        output_loading_info=True,
    )
    missing = sorted(info["missing_keys"])
    # SpecAugment's mask vector is not in every checkpoint; it is trained from any.
    missing = [k for k in missing if not k.endswith("masked_spec_embed")]
    mismatched = sorted(str(k) for k in info["mismatched_keys"])
    if missing or mismatched:
        raise ValueError(
            f"{model}: the checkpoint does not fill the model: missing "
            f"{missing[:5]} ({len(missing)} in all), of another shape "
            f"{mismatched[:5]} ({len(mismatched)})"
        )
    logging.info(
        f"{model}: weights loaded, {len(info['unexpected_keys'])} tensors not used"
    )
    return built


def portable(config) -> Dict[str, Any]:
    """Fields that rebuild a configuration without reading the hub or a folder.

    Args:
        config: A ``transformers.PretrainedConfig``.

    Returns:
        Plain data for a YAML file, with ``model_type``.
    """
    import json

    # Through JSON: enums, dtypes and tuples become what YAML can hold.
    fields = json.loads(config.to_json_string(use_diff=True))
    for key in (*_STORED_ONLY, "_name_or_path"):
        fields.pop(key, None)
    return {**fields, "model_type": config.model_type}
