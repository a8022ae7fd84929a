"""Conversion of fairseq's and s3prl's speech encoders to transformers folders.

What is read: ``.pt`` files of wav2vec 2.0, XLS-R and HuBERT, pre-trained or
fine-tuned, as fairseq writes them (``{"model": ..., "cfg" or "args": ...}``) and as
s3prl rewrites them (``{"model_weight": ..., "model_cfg": ..., "task_cfg": ...}``, what
its ``wav2vec2_custom`` and ``hubert_custom`` load). s3prl's ``hf_wav2vec2_custom`` and
``hf_hubert_custom`` name a hub id or a folder of transformers: those need no
conversion, ``frontend_conf: model`` reads them as they are.
"""

import logging
import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import torch

from espnet_samu.checkpoint import export
from espnet_samu.checkpoint.fairseq_config import (
    FairseqSettings,
    configuration,
)
from espnet_samu.checkpoint.foreign_pickle import load_with_placeholders
from espnet_samu.utils import huggingface
from espnet_samu.utils.atomic import AtomicFolder
from espnet_samu.utils.state_dict import load_strictly
from espnet_samu.utils.waveform import SAMPLING_RATE

_CONVOLUTION = r"(feature_extractor\.conv_layers\.\d+)"
_LAYER = r"(encoder\.layers\.\d+)"
_POSITION = r"encoder\.pos_conv\.0"
_NEW_POSITION = "encoder.pos_conv_embed.conv"
_NAMES = {
    rf"{_CONVOLUTION}\.0\.(\w+)": r"\1.conv.\2",
    # Group norm is one module; layer norm stands between two transpositions.
    rf"{_CONVOLUTION}\.2\.(?:1\.)?(\w+)": r"\1.layer_norm.\2",
    r"layer_norm\.(\w+)": r"feature_projection.layer_norm.\1",
    r"post_extract_proj\.(\w+)": r"feature_projection.projection.\1",
    r"mask_emb": "masked_spec_embed",
    rf"{_POSITION}\.weight_g": f"{_NEW_POSITION}.parametrizations.weight.original0",
    rf"{_POSITION}\.weight_v": f"{_NEW_POSITION}.parametrizations.weight.original1",
    rf"{_POSITION}\.bias": f"{_NEW_POSITION}.bias",
    rf"{_LAYER}\.self_attn\.(\w+)\.(\w+)": r"\1.attention.\2.\3",
    rf"{_LAYER}\.self_attn_layer_norm\.(\w+)": r"\1.layer_norm.\2",
    rf"{_LAYER}\.fc1\.(\w+)": r"\1.feed_forward.intermediate_dense.\2",
    rf"{_LAYER}\.fc2\.(\w+)": r"\1.feed_forward.output_dense.\2",
    # encoder.layer_norm and each layer's final_layer_norm keep their names.
}
_FIRST = "feature_extractor.conv_layers.0.0.weight"
_PRETRAINING_HEADS = (
    "quantizer",
    "project_q",
    "final_proj",
    "target_glu",
    "label_embs_concat",
)


class Conversion(NamedTuple):
    """Result of the conversion of a checkpoint."""

    conf: dict[str, Any]
    """Fields of the transformers configuration, with ``model_type``."""
    normalize: bool
    """Whether the encoder takes waveforms of zero mean and unit variance."""
    dropped: dict[str, int]
    """Number of tensors left out, by the head they belong to."""
    assumed: list[str]
    """Settings missing in the checkpoint, which were assumed."""


def convert(checkpoint: Path | str, output_dir: Path | str) -> Conversion:
    """Convert the encoder of a fairseq or s3prl checkpoint to a transformers folder.

    The architecture follows from the tensors' shapes and from the checkpoint's own
    settings. Dropout, masking and layer drop are left at transformers' defaults: they
    belong to the training to come (``frontend_conf: model_conf``).

    Args:
        checkpoint: ``.pt`` file. Nothing that it names is run.
        output_dir: Folder for config.json, model.safetensors and
            preprocessor_config.json; replaced as a whole if an earlier conversion
            made it.

    Raises:
        ValueError: output_dir holds the checkpoint or what fairseq_convert has not
            made; the file cannot be read, is of another architecture (names the keys
            that are missing or unexpected), or lacks a setting.
    """
    from transformers import AutoModel, Wav2Vec2FeatureExtractor

    output = AtomicFolder(output_dir, "fairseq_convert", [checkpoint])
    content = load_with_placeholders(checkpoint)
    weights = content.get("model", content.get("model_weight"))
    if not isinstance(weights, dict):
        raise ValueError(
            f"{checkpoint} has neither 'model' (fairseq) nor 'model_weight' (s3prl), "
            f"but {', '.join(map(str, content))}"
        )
    try:
        state, dropped = encoder_part(weights)
        settings = FairseqSettings(content)
        hubert = settings.names_hubert or "label_embs_concat" in dropped
        conf, normalize, assumed = configuration(
            "hubert" if hubert else "wav2vec2", state, settings
        )
        config = huggingface.load_config(None, conf)
        model = huggingface.build(AutoModel, None, config)
        what = f"not the architecture of {type(model).__name__}"
        load_strictly(what, model, rename(state))
    except ValueError as error:
        raise ValueError(f"{checkpoint}: {error}") from error
    extractor = Wav2Vec2FeatureExtractor(
        sampling_rate=SAMPLING_RATE,
        do_normalize=normalize,
        return_attention_mask=config.feat_extract_norm == "layer",
    )
    with output as folder:
        export.save(model, extractor, folder)
    left_out = ", ".join(f"{n} of {head}" for head, n in sorted(dropped.items()))
    logging.info(
        f"{checkpoint}: {len(state)} tensors to {output_dir} ({config.model_type}, "
        f"{config.num_hidden_layers} layers of {config.hidden_size}, waveforms "
        f"{'' if normalize else 'not '}normalised); left out: {left_out or 'nothing'}"
    )
    for line in assumed:
        logging.warning(f"{checkpoint}: assumed, since not stated: {line}")
    return Conversion(conf, normalize, dropped, assumed)


def encoder_part(
    weights: dict[str, torch.Tensor],
) -> tuple[dict[str, torch.Tensor], dict[str, int]]:
    """Return the encoder's weights without prefix, and counts of other weights.

    A fine-tuned model has the encoder under ``w2v_encoder.w2v_model.`` (CTC) or
    ``encoder.w2v_model.`` (sequence to sequence), and its own parts beside it.

    Raises:
        ValueError: There is no such encoder.
    """
    prefix = next((k.removesuffix(_FIRST) for k in weights if k.endswith(_FIRST)), None)
    if prefix is None:
        raise ValueError(
            f"no tensor is named {_FIRST}: not a wav2vec 2.0 or HuBERT encoder; its "
            f"first ones are {', '.join(list(weights)[:3])}"
        )
    state: dict[str, torch.Tensor] = {}
    dropped: Counter[str] = Counter()
    for key, value in weights.items():
        inside = key.removeprefix(prefix)
        if not key.startswith(prefix):
            dropped[key.rsplit(".", 1)[0]] += 1
        elif (head := inside.split(".")[0]) in _PRETRAINING_HEADS:
            dropped[head] += 1
        else:
            state[inside] = value
    return state, dict(dropped)


def rename(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return weights under transformers' names; unknown names are kept."""
    renamed = {}
    for key, value in state.items():
        for pattern, replacement in _NAMES.items():
            if match := re.fullmatch(pattern, key):
                key = match.expand(replacement)
                break
        renamed[key] = value.float()
    return renamed
