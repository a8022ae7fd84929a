"""Conversion of fairseq's and s3prl's speech encoders to transformers folders.

What is read: ``.pt`` files of wav2vec 2.0, XLS-R and HuBERT, pre-trained or
fine-tuned, as fairseq writes them (``{"model": ..., "cfg" or "args": ...}``) and as
s3prl rewrites them (``{"model_weight": ..., "model_cfg": ..., "task_cfg": ...}``, what
its ``wav2vec2_custom`` and ``hubert_custom`` load). s3prl's ``hf_wav2vec2_custom`` and
``hf_hubert_custom`` name a hub id or a folder of transformers: those need no
conversion, ``frontend_conf: model`` reads them as they are.

A SAMU-XLSR checkpoint is such a fine-tuned encoder with a pooling and a projection
beside it. The published ``checkpoint_51_234000.pt`` was not seen. What is expected:

* ``w2v_encoder.w2v_model.*`` (XLS-R) and ``w2v_encoder.proj.{weight,bias}`` (1024 to
  768), as in the first author's public training code of early 2022; there tanh and L2
  normalisation follow outside the model;
* an attention vector of 1024 numbers, perhaps with a bias, under some name: the paper
  has attention pooling, that code still the mean, which needs no weights.

So pooling and projection are found by their shapes, not by their names.
"""

import logging
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import torch

from espnet_samu.checkpoint import export
from espnet_samu.checkpoint.fairseq_config import FairseqSettings, configuration
from espnet_samu.checkpoint.foreign_pickle import load_with_placeholders
from espnet_samu.checkpoint.model_import import PublishedStudent
from espnet_samu.utils import huggingface
from espnet_samu.utils.atomic import AtomicFolder
from espnet_samu.utils.state_dict import load_strictly, rename_tensor
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


class Encoder(NamedTuple):
    """Encoder of a checkpoint."""

    conf: dict[str, Any]
    """Fields of the transformers configuration, with ``model_type``."""
    normalize: bool
    """Whether it takes waveforms of zero mean and unit variance."""
    state: dict[str, torch.Tensor]
    """Weights by transformers' names."""
    others: dict[str, torch.Tensor]
    """Weights that are not the encoder's, by fairseq's names."""
    assumed: list[str]
    """Settings missing in the checkpoint, which were assumed."""
    names: list[str]
    """Names that fairseq registered its model, task and architecture by."""

    @property
    def dropped(self) -> dict[str, int]:
        """Number of tensors that are not the encoder's, by head."""
        return dict(Counter(map(_head_of, self.others)))


def read_encoder(checkpoint: Path | str) -> Encoder:
    """Read the encoder of a fairseq or s3prl checkpoint.

    The architecture follows from the tensors' shapes and from the checkpoint's own
    settings. Dropout, masking and layer drop are left at transformers' defaults: they
    belong to the training to come (``frontend_conf: model_conf``).

    Args:
        checkpoint: ``.pt`` file. Nothing that it names is run.

    Raises:
        ValueError: The file cannot be read, has no such encoder, or lacks a setting.
    """
    content = load_with_placeholders(checkpoint)
    weights = content.get("model", content.get("model_weight"))
    if not isinstance(weights, dict):
        raise ValueError(
            f"{checkpoint} has neither 'model' (fairseq) nor 'model_weight' (s3prl), "
            f"but {', '.join(map(str, content))}"
        )
    try:
        state, others = encoder_part(weights)
        settings = FairseqSettings(content)
        heads = map(_head_of, others)
        hubert = settings.names_hubert or "label_embs_concat" in heads
        conf, normalize, assumed = configuration(
            "hubert" if hubert else "wav2vec2", state, settings
        )
    except ValueError as error:
        raise ValueError(f"{checkpoint}: {error}") from error
    return Encoder(conf, normalize, rename(state), others, assumed, settings.names)


def convert(checkpoint: Path | str, output_dir: Path | str) -> Encoder:
    """Convert the encoder of a fairseq or s3prl checkpoint to a transformers folder.

    Args:
        checkpoint: See :func:`read_encoder`.
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
    encoder = read_encoder(checkpoint)
    config = huggingface.load_config(None, encoder.conf)
    model = huggingface.build(AutoModel, None, config)
    what = f"{checkpoint}: not the architecture of {type(model).__name__}"
    load_strictly(what, model, encoder.state)
    extractor = Wav2Vec2FeatureExtractor(
        sampling_rate=SAMPLING_RATE,
        do_normalize=encoder.normalize,
        return_attention_mask=config.feat_extract_norm == "layer",
    )
    with output as folder:
        export.save(model, extractor, folder)
    dropped = sorted(encoder.dropped.items())
    left_out = ", ".join(f"{n} of {head}" for head, n in dropped)
    logging.info(
        f"{checkpoint}: {len(encoder.state)} tensors to {output_dir} "
        f"({config.model_type}, {config.num_hidden_layers} layers of "
        f"{config.hidden_size}, waveforms "
        f"{'' if encoder.normalize else 'not '}normalised); "
        f"left out: {left_out or 'nothing'}"
    )
    for line in encoder.assumed:
        logging.warning(f"{checkpoint}: assumed, since not stated: {line}")
    return encoder


def encoder_part(
    weights: dict[str, torch.Tensor],
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Return the encoder's weights without prefix, and all others.

    A fine-tuned model has the encoder under ``w2v_encoder.w2v_model.`` (CTC) or
    ``encoder.w2v_model.`` (sequence to sequence), and its own parts beside it. Heads
    of the pre-training are among the others, without that prefix.

    Raises:
        ValueError: There is no such encoder, or it has adapters.
    """
    prefix = next((k.removesuffix(_FIRST) for k in weights if k.endswith(_FIRST)), None)
    if prefix is None:
        raise ValueError(
            f"no tensor is named {_FIRST}: not a wav2vec 2.0 or HuBERT encoder; its "
            f"first ones are {', '.join(list(weights)[:3])}"
        )
    state: dict[str, torch.Tensor] = {}
    others: dict[str, torch.Tensor] = {}
    for key, value in weights.items():
        inside = key.removeprefix(prefix)
        if not key.startswith(prefix):
            others[key] = value
        elif _is_pretraining(inside):
            others[inside] = value
        else:
            state[inside] = value
    adapters = [key for key in state if "adapter" in key]
    if adapters:
        raise ValueError(
            f"its encoder has adapters ({len(adapters)} tensors, e.g. {adapters[0]}), "
            "which transformers' models do not have"
        )
    return state, others


def _head_of(name: str) -> str:
    """Return the head of pre-training, or the module, that a tensor belongs to."""
    return name.split(".")[0] if _is_pretraining(name) else name.rpartition(".")[0]


def _is_pretraining(name: str) -> bool:
    return name.split(".")[0] in _PRETRAINING_HEADS


def rename(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return weights under transformers' names; unknown names are kept."""
    return {rename_tensor(k, _NAMES): tensor.float() for k, tensor in state.items()}


_RECOGNITION = ("wav2vec_ctc", "wav2vec_seq2seq", "hubert_ctc", "hubert_seq2seq")


def read_student(checkpoint: Path | str) -> PublishedStudent:
    """Read a SAMU-XLSR checkpoint: encoder, pooling and projection.

    Args:
        checkpoint: ``.pt`` file. Nothing that it names is run.

    Raises:
        ValueError: See :func:`read_encoder`; or the weights beside the encoder are not
            those of a pooling and a projection: lists them.
    """
    encoder = read_encoder(checkpoint)
    recogniser = [name for name in encoder.names if name.startswith(_RECOGNITION)]
    if recogniser:
        raise ValueError(
            f"{checkpoint} is fine-tuned for recognition ({recogniser[0]}), not a "
            "student; fairseq_convert gives its encoder"
        )
    try:
        options, state, assumed = _student_head(
            {k: v for k, v in encoder.others.items() if not _is_pretraining(k)},
            encoder.conf["hidden_size"],
        )
    except ValueError as error:
        raise ValueError(f"{checkpoint}: {error}") from error
    frontend_conf = {
        "model_conf": encoder.conf,
        "pretrained": False,
        "normalize_waveform": encoder.normalize,
    }
    state |= {f"frontend.model.{k}": v for k, v in encoder.state.items()}
    layers, size = (encoder.conf[k] for k in ("num_hidden_layers", "hidden_size"))
    return PublishedStudent(
        {"frontend_conf": frontend_conf, **options},
        state,
        f"an encoder of {layers} layers of {size}",
        "sentence-transformers/LaBSE",
        [f"assumed, since not stated: {line}" for line in encoder.assumed + assumed],
    )


def _student_head(
    weights: dict[str, torch.Tensor], size: int
) -> tuple[dict[str, Any], dict[str, torch.Tensor], list[str]]:
    """Return options and weights of pooling and projector, and what was assumed.

    Args:
        weights: Those beside the encoder.
        size: Dimension D of the frames.
    """
    modules: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in weights.items():
        module, _, leaf = name.rpartition(".")
        modules.setdefault(module, {})[leaf] = tensor
    poolings, projections, unknown = [], [], []
    for module, parts in modules.items():
        sizes = {leaf: tuple(part.shape) for leaf, part in parts.items()}
        bias, weight = sizes.pop("bias", None), next(iter(sizes.values()), ())
        if len(sizes) == 1 and weight in ((size,), (1, size)) and bias in (None, (1,)):
            poolings.append(next(parts[leaf] for leaf in sizes))
        elif len(sizes) == 1 and weight[1:] == (size,) and bias == weight[:1]:
            projections.append(parts)
        else:
            unknown += [f"{module}.{leaf}".lstrip(".") for leaf in parts]
    if unknown or len(projections) != 1 or len(poolings) > 1:
        found = [_described(k, v, size) for k, v in weights.items()]
        raise ValueError(
            "beside the encoder a student has one projection (weight [E, "
            f"{size}], bias [E]) and at most one attention vector ([1, {size}] or "
            f"[{size}]), but here are: {', '.join(found) or 'no others'}. "
            "fairseq_convert gives the encoder alone"
        )
    matrix = next(v for k, v in projections[0].items() if k != "bias")
    options: dict[str, Any] = {
        "pooling": "attention" if poolings else "mean",
        "projector": "tanh",
        "projector_conf": {"output_size": len(matrix)},
    }
    state = {
        "projector.linear.weight": matrix.float(),
        "projector.linear.bias": projections[0]["bias"].float(),
    }
    assumed = ["tanh behind the projection, as in the first author's public code"]
    if poolings:
        state["pooling.query.weight"] = poolings[0].float().reshape(1, size)
    else:
        assumed.append("mean pooling, as in that code: there is no attention vector")
    return options, state, assumed


def _described(name: str, tensor: torch.Tensor, size: int) -> str:
    """Return name, shape and what a tensor may be."""
    shape = list(tensor.shape)
    guess = "unknown"
    if name.startswith("decoder."):
        guess = "a decoder"
    elif tensor.dim() == 2 and shape[-1] == size and shape[0] > 1:
        guess = "a projection"
    elif tensor.numel() == size:
        guess = "an attention vector"
    elif name.endswith(".bias"):
        guess = "a bias"
    elif tensor.dim() == 2:
        guess = "a linear layer"
    return f"{name} {shape} ({guess}?)"
