"""Hugging Face models by hub id, by local folder or fresh from a configuration.

Imports transformers only when called. ``trust_remote_code`` is never set, and
weights are read as safetensors or with ``weights_only``.
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
        config = AutoConfig.from_pretrained(model, revision=revision)
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
    unknown = [k for k in conf if not hasattr(config, k) and k not in _STORED_ONLY]
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


# Written by to_diff_dict, not an attribute of every configuration.
_STORED_ONLY = ("transformers_version", "architectures", "dtype")


def build(auto_class, model: Optional[str], config, revision: Optional[str] = None):
    """Build a model and, if ``model`` is given, fill it with pre-trained weights.

    Args:
        auto_class: A transformers (auto) class with ``from_pretrained``.
        model: Hub id or folder, or None for random weights.
        config: From :func:`load_config`.
        revision: Branch, tag or commit on the hub.

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
