"""Configuration of a fairseq encoder as transformers' fields."""

import ast
from typing import Any

import torch

from espnet_samu.checkpoint.foreign_pickle import to_container
from espnet_samu.utils.waveform import SAMPLING_RATE


class FairseqSettings:
    """Settings of the encoder, from any generation of fairseq.

    ``cfg`` is sorted into ``model`` and ``task``; the older ``args`` is flat. A
    fine-tuned model has those of its pre-training in ``w2v_args``. s3prl has
    ``model_cfg`` and ``task_cfg``. A checkpoint may also have none.

    Args:
        checkpoint: The checkpoint's dictionary, from ``load_with_placeholders``.
    """

    def __init__(self, checkpoint: dict[str, Any]):
        top = to_container(checkpoint.get("cfg") or checkpoint.get("args")) or {}
        if "model_cfg" in checkpoint:
            top = {
                "model": to_container(checkpoint["model_cfg"]),
                "task": to_container(checkpoint.get("task_cfg")),
            }
        self._sections = _sections(top)
        # fairseq keeps the pre-training's settings in those of the fine-tuning.
        for section in list(self._sections):
            pretraining = section.get("w2v_args")
            if isinstance(pretraining, dict):
                self._sections = _sections(pretraining) + self._sections

    def get(self, name: str) -> Any | None:
        """Return the first value found, pre-training's first; None if there is none."""
        for section in self._sections:
            if section.get(name) is not None:
                return section[name]
        return None

    @property
    def names(self) -> list[str]:
        """Return the names that model, task and architecture are registered by."""
        names = [s.get(k) for s in self._sections for k in ("_name", "arch")]
        return [str(name) for name in names if name is not None]

    @property
    def names_hubert(self) -> bool:
        """Return whether the registered model or task is HuBERT's."""
        return any(name.startswith("hubert") for name in self.names)

    def convolutions(self) -> list[list[int]] | None:
        """Return channels, kernel and stride of each convolution, or None.

        Raises:
            ValueError: ``conv_feature_layers`` is not a list of three integers each.
        """
        text = self.get("conv_feature_layers")
        if text is None:
            return None
        try:
            layers = _arithmetic(ast.parse(text, mode="eval").body)
            if all(len(layer) == 3 for layer in layers):
                return [list(layer) for layer in layers]
        except (SyntaxError, TypeError):
            pass
        raise ValueError(
            f"conv_feature_layers '{text}' is not of the form "
            "[(channels, kernel, stride)] * layers + ..."
        )


def _sections(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the dictionaries that may hold a setting, most specific first."""
    parts = [settings.get("model"), settings.get("task"), settings]
    return [part for part in parts if isinstance(part, dict)]


def _arithmetic(node: ast.AST) -> Any:
    """Evaluate lists, tuples and integers under + and *, and nothing else."""
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_arithmetic(element) for element in node.elts]
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _arithmetic(node.left) + _arithmetic(node.right)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return _arithmetic(node.left) * _arithmetic(node.right)
    raise TypeError(f"{type(node).__name__} is not allowed")


_FIRST = "feature_extractor.conv_layers.0.0.weight"
_LAYER_NORM = "feature_extractor.conv_layers.0.2.1.weight"
_POSITIONS = "encoder.pos_conv.0.weight_v"
_INTERMEDIATE = "encoder.layers.0.fc1.weight"
# Of the published models, by hidden size: base, large, XLS-R 1B, XLS-R 2B.
_PUBLISHED_HEADS = {768: 12, 1024: 16, 1280: 16, 1920: 16}
# By kernels: all published models have the same convolutions.
_PUBLISHED_STRIDES: dict[tuple[int, ...], list[int]] = {
    (10, 3, 3, 3, 3, 2, 2): [5, 2, 2, 2, 2, 2, 2]
}


def configuration(
    model_type: str, state: dict[str, torch.Tensor], settings: FairseqSettings
) -> tuple[dict[str, Any], bool, list[str]]:
    """Return the fields of the transformers configuration.

    Args:
        model_type: ``wav2vec2`` or ``hubert``.
        state: The encoder's weights under fairseq's names; only shapes are read.
        settings: What the checkpoint says of itself.

    Returns:
        Fields; whether waveforms are normalised; what was
        assumed.

    Raises:
        ValueError: A setting is missing and cannot be assumed, or is not one that
            transformers' model has.
    """
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    missing = [key for key in (_FIRST, _POSITIONS, _INTERMEDIATE) if key not in shapes]
    if missing:
        raise ValueError(
            f"{', '.join(missing)} is missing: not a transformer encoder of wav2vec "
            "2.0 or HuBERT (conformers and data2vec are not read)"
        )
    activation = settings.get("activation_fn") or "gelu"
    if activation not in ("gelu", "relu"):
        raise ValueError(f"activation_fn '{activation}' is not one of gelu, relu")
    rate = settings.get("sample_rate") or SAMPLING_RATE
    if rate != SAMPLING_RATE:
        raise ValueError(f"sample_rate is {rate} Hz; {SAMPLING_RATE} is the one here")
    conv: list[tuple[int, ...]] = []
    while (
        shape := shapes.get(_FIRST.replace(".0.0.", f".{len(conv)}.0."))
    ) is not None:
        conv.append(shape)
    kernels = tuple(shape[2] for shape in conv)
    size, group, positions = shapes[_POSITIONS]
    norm = "layer" if _LAYER_NORM in shapes else "group"
    layer_numbers = [int(k.split(".")[2]) for k in shapes if "encoder.layers." in k]
    assumed = []

    def stated_or_assumed(name: str, value: Any, published: Any, why: str) -> Any:
        if value is not None:
            return value
        if published is None:
            raise ValueError(
                f"its cfg does not state {name}, and no published model has {why}"
            )
        assumed.append(f"{name} {published}, as the published models with {why}")
        return published

    def assumed_by_norm(name: str) -> bool:
        why = f"{norm} norm in the convolutions"
        return bool(stated_or_assumed(name, settings.get(name), norm == "layer", why))

    conf = {
        "model_type": model_type,
        "hidden_size": size,
        "num_hidden_layers": 1 + max(layer_numbers),
        "num_attention_heads": stated_or_assumed(
            "encoder_attention_heads",
            settings.get("encoder_attention_heads"),
            _PUBLISHED_HEADS.get(size),
            f"hidden size {size}",
        ),
        "intermediate_size": shapes[_INTERMEDIATE][0],
        "hidden_act": activation,
        "feat_extract_norm": norm,
        "do_stable_layer_norm": assumed_by_norm("layer_norm_first"),
        "conv_dim": [shape[0] for shape in conv],
        "conv_kernel": list(kernels),
        "conv_stride": stated_or_assumed(
            "conv_feature_layers",
            _strides(settings, conv),
            _PUBLISHED_STRIDES.get(kernels),
            f"kernels {kernels}",
        ),
        "conv_bias": _FIRST.replace("weight", "bias") in shapes,
        "num_conv_pos_embeddings": positions,
        "num_conv_pos_embedding_groups": size // group,
    }
    return conf, assumed_by_norm("normalize"), assumed


def _strides(
    settings: FairseqSettings, conv: list[tuple[int, ...]]
) -> list[int] | None:
    """Return the strides of the convolutions, checked against the weights."""
    layers = settings.convolutions()
    if layers is None:
        return None
    if [layer[:2] for layer in layers] != [[shape[0], shape[2]] for shape in conv]:
        raise ValueError(
            f"conv_feature_layers {layers} (channels, kernel, stride) are not those of "
            f"the weights {conv} (channels out, in, kernel)"
        )
    return [layer[2] for layer in layers]
