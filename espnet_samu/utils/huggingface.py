"""Models of transformers: by hub id, by folder, or built from a configuration.

Imports transformers only when called. Code that comes with a model is never run
(``trust_remote_code`` is False), and weights are read as safetensors or with
``weights_only``.
"""

import contextlib
import dataclasses
import difflib
import json
import logging
import re
from collections.abc import Iterable, Iterator
from typing import Any

from safetensors import SafetensorError

from espnet_samu.utils.state_dict import check_names


def load_config(
    model: str | None,
    conf: dict[str, Any],
    revision: str | None = None,
    is_written: bool = False,
):
    """Return the configuration of a pre-trained or untrained model.

    Only what describes the model is taken from a published config.json: neither what
    transformers no longer knows, nor settings of decoding and of outputs.

    Args:
        model: From :func:`espnet_samu.utils.hub.locate`, or None for a fresh model.
        conf: Fields that replace those of the pre-trained model, or the fields of
            the fresh one: then ``model_type`` is needed, e.g. ``wav2vec2``.
        revision: Branch, tag or commit on the hub.
        is_written: ``conf`` was written by :func:`portable`, perhaps of another
            version: unknown fields are left out with a warning.

    Returns:
        A ``transformers.PretrainedConfig``.

    Raises:
        ValueError: Neither model nor ``model_type`` is given, the model type is
            unknown or another one than the model's, or a field is not one of this
            family's configuration.
    """
    conf = dict(conf)
    model_type = conf.pop("model_type", None)
    published: dict[str, Any] = {}
    if model is not None:
        published = _read_config(model, revision)
        if model_type not in (None, published.get("model_type")):
            raise ValueError(
                f"model_conf: {model} is of model_type "
                f"'{published.get('model_type')}', but model_conf says "
                f"'{model_type}'; leave model_type out"
            )
        model_type = published.get("model_type")
    config_class = _config_class(model, model_type)
    known = _fields(config_class)
    aliases = config_class.attribute_map
    unknown = [name for name in conf if name not in known and name not in aliases]
    if unknown and is_written:
        logging.warning(
            f"model_conf: {', '.join(sorted(unknown))} left out: no field of "
            f"{config_class.__name__} in this version of transformers"
        )
    elif unknown:
        raise ValueError(_unknown_fields(unknown, config_class))
    conf = {aliases.get(k, k): v for k, v in conf.items() if k not in unknown}
    if model is not None:
        left_out = sorted(published.keys() - known - aliases.keys() - _BOOKKEEPING)
        if left_out:
            logging.info(
                f"{model}: config.json has fields that do not describe a "
                f"{config_class.__name__} and are left out: {', '.join(left_out)}"
            )
        conf = {**_described(config_class.from_dict(published)), **conf}
    # A new object, since some fields are derived from others.
    config = config_class.from_dict(conf)
    for name, value in _UNDEFINED_FIELDS.get(model_type, {}).items():
        setattr(config, name, conf.get(name, value))
    return config


# Fields that transformers 5.23 reads but does not define in the configuration: with
# mask_feature_prob above 0 WavLM could not be trained.
_UNDEFINED_FIELDS = {"wavlm": {"mask_feature_min_masks": 0}}

# Fields of every configuration that do not describe a model: how outputs are handed
# over, labels of a task, the type that the weights are stored in.
_NOT_DESCRIBING = {
    "architectures",
    "dtype",
    "id2label",
    "label2id",
    "output_hidden_states",
    "problem_type",
    "return_dict",
    "transformers_version",
    "use_cache",
}
# Fields of every published file, which the log does not mention either.
_BOOKKEEPING = {
    "_name_or_path",
    "model_type",
    "num_feat_extract_layers",  # derived
    "output_attentions",
    "tokenizer_class",
    "torch_dtype",
    *_NOT_DESCRIBING,
}


def read_model_type(model: str, revision: str | None = None) -> str | None:
    """Return the ``model_type`` of a published config.json."""
    return _read_config(model, revision).get("model_type")


def _read_config(model: str, revision: str | None) -> dict[str, Any]:
    """Read a config.json as it is."""
    from transformers import PretrainedConfig

    fields, _ = PretrainedConfig.get_config_dict(model, revision=revision)
    if not fields:
        raise FileNotFoundError(f"{model} has no config.json: it is not a model folder")
    return fields


def _config_class(model: str | None, model_type: str | None):
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    if model_type is None:
        raise ValueError(
            "model_conf: a fresh model needs 'model_type' (e.g. wav2vec2), or give "
            "'model', a hub id or folder"
            if model is None
            else f"{model}: config.json does not define model_type"
        )
    if model_type not in CONFIG_MAPPING:
        source = "model_conf" if model is None else f"{model}: config.json"
        raise ValueError(
            f"{source}: model_type '{model_type}' is not known to transformers"
        )
    return CONFIG_MAPPING[model_type]


def _fields(config_class) -> set[str]:
    """Return the names of the fields that describe a model of a family."""
    fields = {field.name for field in dataclasses.fields(config_class)}
    return (
        fields - _NOT_DESCRIBING
        | _UNDEFINED_FIELDS.get(config_class.model_type, {}).keys()
    )


def _described(config) -> dict[str, Any]:
    """Return the fields that describe a model, as plain data."""
    # Through JSON: enums, dtypes and tuples become what YAML can hold.
    fields = json.loads(config.to_json_string(use_diff=False))
    return {k: v for k, v in fields.items() if k in _fields(type(config))}


def _unknown_fields(names: Iterable[str], config_class) -> str:
    """Return the message for unknown fields in the user's options."""
    from transformers import GenerationConfig

    fields, search = _fields(config_class), GenerationConfig()
    message = (
        f"model_conf: {', '.join(sorted(names))} is not a field of "
        f"{config_class.__name__}"
    )
    for name in sorted(names):
        near = difflib.get_close_matches(name, fields, cutoff=0.65)
        if hasattr(search, name):
            message += f"; {name}: search options belong to decoding"
        elif near:
            message += f"; near {name}: {', '.join(sorted(near, reverse=True))}"
    return message


def set_attention(config, model_class, attention: str | None) -> None:
    """Set the attention implementation in a configuration.

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


def cut_layers(config, n_layers: int, field: str = "num_hidden_layers") -> None:
    """Reduce a configuration to its first layers.

    Args:
        config: From :func:`load_config`.
        n_layers: 1 to the number that there are.
        field: Name of that number in the configuration.

    Raises:
        ValueError: The model has fewer layers.
    """
    if not 1 <= n_layers <= getattr(config, field):
        raise ValueError(
            f"keep_layers is {n_layers}, but {config.model_type} has 1 to "
            f"{getattr(config, field)} layers to keep"
        )
    setattr(config, field, n_layers)


def build(
    auto_class,
    model: str | None,
    config,
    revision: str | None = None,
    key_mapping: dict[str, str] | None = None,
    unused: str | None = None,
    dropped: str | None = None,
):
    """Build a model and, if ``model`` is given, load pre-trained weights.

    Args:
        auto_class: A transformers (auto) class with ``from_pretrained``.
        model: From :func:`espnet_samu.utils.hub.locate`, or None for random weights.
        config: From :func:`load_config`.
        revision: Branch, tag or commit on the hub.
        key_mapping: Regular expressions for names in the checkpoint, and what to put
            there.
        unused: Regular expression for the beginnings of names in the checkpoint that
            the model is to leave out, beside the heads of other tasks.
        dropped: The same for parts that the caller will remove: they may be missing,
            too.

    Raises:
        ValueError: The checkpoint lacks weights of the model, which transformers would
            fill with random numbers, or has some that the model should have; or it is
            damaged.
    """
    import torch

    if model is None:
        make = getattr(auto_class, "_from_config", None) or auto_class.from_config
        return make(config)
    try:
        with quiet():  # a table of unused weights; errors follow below
            built, info = auto_class.from_pretrained(
                model,
                config=config,
                revision=revision,
                dtype=torch.float32,
                key_mapping=key_mapping,
                # transformers' error names no tensor; check_names below does.
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
    except SafetensorError as error:
        raise ValueError(
            f"{model}: a file of its weights is damaged ({error}); get it again"
        ) from error
    if key_mapping is not None:
        # save_pretrained would apply the mapping backwards, which is ambiguous.
        built._weight_conversions = None
    missing = sorted(info["missing_keys"])
    # SpecAugment's mask vector is not in every checkpoint; it is trained from any.
    missing = [k for k in missing if not k.endswith("masked_spec_embed")]
    if dropped is not None:
        missing = [k for k in missing if not re.match(dropped, k)]
        unused = dropped if unused is None else f"{unused}|{dropped}"
    mismatched = sorted(str(k) for k in info["mismatched_keys"])
    leftover = sorted(_of_the_model(built, info["unexpected_keys"], unused))
    what = f"{model}: the checkpoint does not fit its config.json and model_conf"
    check_names(what, missing, leftover, mismatched)
    logging.info(
        f"{model}: weights loaded, {len(info['unexpected_keys'])} tensors not used"
    )
    return built


# Tensors of checkpoints of older versions that the model computes itself.
_COMPUTED = re.compile(
    r"\.(masked_spec_embed|position_ids|inv_freq|version|embed_positions\.weights)$"
)


def _of_the_model(model, names: Iterable[str], unused: str | None) -> list[str]:
    """Return the names of weights of the model itself, without task heads.

    Those of a head stand beside the model, without its prefix.

    Args:
        model: Of transformers.
        names: In the checkpoint.
        unused: See :func:`build`.
    """
    prefix = model.base_model_prefix
    children = {name for name, _ in model.base_model.named_children()}

    def belongs(name: str) -> bool:
        first, _, rest = name.partition(".")
        return first == prefix or (first in children and "." in rest)

    return [
        name
        for name in names
        if belongs(name)
        and not _COMPUTED.search(f".{name}")
        and not (unused and re.match(unused, name))
    ]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Limit transformers' log to errors, in a with block."""
    from transformers.utils import logging as library

    verbosity = library.get_verbosity()
    library.set_verbosity_error()
    try:
        yield
    finally:
        library.set_verbosity(verbosity)


def portable(config) -> dict[str, Any]:
    """Return the fields that rebuild a configuration without hub or folder.

    Args:
        config: A ``transformers.PretrainedConfig``.

    Returns:
        Plain data for a YAML file, with ``model_type``.
    """
    return {**_described(config), "model_type": config.model_type}
