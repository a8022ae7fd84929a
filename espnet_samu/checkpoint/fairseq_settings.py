"""What a fairseq or s3prl checkpoint says of its own architecture."""

import ast
from typing import Any, Dict, List, Optional

from espnet_samu.checkpoint.inert import plain


class FairseqSettings:
    """Settings of the encoder, whichever generation of fairseq wrote them.

    ``cfg`` is sorted into ``model`` and ``task``; the older ``args`` is flat. A
    fine-tuned model has those of its pre-training in ``w2v_args``. s3prl has
    ``model_cfg`` and ``task_cfg``. A checkpoint may also have none.

    Args:
        checkpoint: The checkpoint's dictionary, from ``load_inert``.
    """

    def __init__(self, checkpoint: Dict[str, Any]):
        top = plain(checkpoint.get("cfg") or checkpoint.get("args")) or {}
        if "model_cfg" in checkpoint:
            top = {
                "model": plain(checkpoint["model_cfg"]),
                "task": plain(checkpoint.get("task_cfg")),
            }
        self._sections = _sections(top)
        # fairseq keeps the pre-training's settings in those of the fine-tuning.
        for section in list(self._sections):
            pretraining = section.get("w2v_args")
            if isinstance(pretraining, dict):
                self._sections = _sections(pretraining) + self._sections

    def get(self, name: str) -> Optional[Any]:
        """The first value that is told, the pre-training's first; None: not told."""
        for section in self._sections:
            if section.get(name) is not None:
                return section[name]
        return None

    @property
    def names_hubert(self) -> bool:
        """Whether the model's or the task's registered name says HuBERT."""
        names = [s.get(k) for s in self._sections for k in ("_name", "arch")]
        return any(str(name).startswith("hubert") for name in names)

    def convolutions(self) -> Optional[List[List[int]]]:
        """Channels, kernel and stride of each convolution; None: not told.

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


def _sections(settings: Dict[str, Any]) -> List[Dict[str, Any]]:
    """The dictionaries in which a setting may stand, the more special one first."""
    parts = [settings.get("model"), settings.get("task"), settings]
    return [part for part in parts if isinstance(part, dict)]


def _arithmetic(node: ast.AST) -> Any:
    """Value of lists, tuples and integers under + and *; nothing else is run."""
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_arithmetic(element) for element in node.elts]
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _arithmetic(node.left) + _arithmetic(node.right)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return _arithmetic(node.left) * _arithmetic(node.right)
    raise TypeError(f"{type(node).__name__} is not allowed")
