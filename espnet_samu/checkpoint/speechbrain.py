"""Reading of SpeechBrain's checkpoints of semantic speech encoders (SENSE).

SpeechBrain's ``Checkpointer`` writes a folder ``CKPT+checkpoint_epoch<N>`` with
``wav2vec2.ckpt``, the state dict of the speech encoder, whose architecture it does not
say, and ``model.ckpt``, the pooling's. The recipes: CommonVoice/SENSE (w2v-BERT 2.0,
BGE-M3) and IWSLT22_lowresource's train_samu.yaml (wav2vec 2.0, LaBSE, the same pooling
twice). And the training code of SENSE-2ATTR, which adds a learned mix of hidden states
and a second branch for speakers, left out here. The published downloads were not seen;
what they hold may have other names.

SpeechBrain's pooling is ours with two differences. It has a bias, which cancels in the
softmax over frames and is left out here. And it has no mask: in a batch it also pools
the frames of the padding, and alone one such frame, if the number of 10 ms frames is
odd (w2v-BERT's are stacked in twos, the last one with padding). Here padding has no
weight, so that an utterance has one embedding: SpeechBrain's own where its encoder has
frames of the utterance alone.
"""

import re
from pathlib import Path
from typing import Any

import torch

from espnet_samu.checkpoint.model_import import PublishedStudent
from espnet_samu.frontend.samu import make_family
from espnet_samu.utils import hub, huggingface
from espnet_samu.utils.state_dict import NAMED, read_state_dict

ENCODER, HEAD = "wav2vec2.ckpt", "model.ckpt"
W2V_BERT = "facebook/w2v-bert-2.0"
_TEACHERS = {"wav2vec2-bert": "BAAI/bge-m3"}
_TEACHER = "sentence-transformers/LaBSE"
_POOLING = re.compile(r"\d+\.attn_pooling_w\.(weight|bias)")
_MIX = {
    "0.logits": "weights",
    "0.W": "projection.weight",
    "0.b": "projection.bias",
    "0.ln.weight": "projection.norm.weight",
    "0.ln.bias": "projection.norm.bias",
}
"""SENSE-2ATTR's mix of its semantic branch, and our names for it."""
_TWO_ATTRIBUTES = {
    *_MIX,
    *(name.replace("0.", "1.", 1) for name in _MIX),
    *(f"{n}.attn_pooling_w.{leaf}" for n in (2, 3) for leaf in ("weight", "bias")),
    "4.weight",
    "4.bias",
}
"""``model.ckpt`` of SENSE-2ATTR: mixes of the semantic and of the speaker branch, their
poolings, and the speaker's projection."""


def read_student(
    source: str, revision: str | None = None, encoder_config: str = W2V_BERT
) -> PublishedStudent:
    """Read a student that SpeechBrain saved.

    Args:
        source: Folder of a checkpoint, or one that has one somewhere in it; or a hub
            id.
        revision: Branch, tag or commit on the hub.
        encoder_config: Hub id or folder whose config.json (and, for wav2vec 2.0,
            preprocessor_config.json) describes the encoder.

    Raises:
        OSError: A file is missing, or the hub cannot be reached.
        ValueError: The checkpoint is of another layout; names what is unknown.
    """
    folder = _find(source, revision)
    options, state = _read_head(folder / HEAD)
    weights = read_state_dict(folder / ENCODER)
    other = [name for name in weights if not name.startswith("model.")]
    if other:
        raise ValueError(
            f"{folder / ENCODER} is not of SpeechBrain's classes of transformers, "
            f"whose tensors are named model.*; it has {_listed(other)}"
        )
    try:
        encoder_config = hub.locate(encoder_config)
        config = huggingface.load_config(encoder_config, {})
    except OSError as error:
        raise type(error)(
            f"{error}. {ENCODER} does not say its encoder's sizes: --encoder_config "
            f"takes a folder with the config.json of {W2V_BERT}, or of the model that "
            "the student started from"
        ) from error
    options["frontend_conf"] = {
        "model_conf": huggingface.portable(config),
        "pretrained": False,
        **make_family(config, encoder_config).portable_conf(),
    }
    assumed = []
    if _WEIGHTS in state:
        options["frontend_conf"] |= {
            "layer_mix": True,
            # It ends with the last one.
            "layer_mix_first": config.num_hidden_layers + 1 - len(state[_WEIGHTS]),
            "layer_mix_projection": True,
        }
        assumed = ["left out: the speaker branch of SENSE-2ATTR"]
    state |= {f"frontend.{name}": tensor for name, tensor in weights.items()}
    return PublishedStudent(
        options,
        state,
        architecture=f"{encoder_config}; name its model by --encoder_config",
        teacher=_TEACHERS.get(config.model_type, _TEACHER),
        assumed=assumed,
    )


def _find(source: str, revision: str | None) -> Path:
    """Return the folder of a checkpoint."""
    folder = Path(hub.locate(source, revision))
    if not folder.is_dir():
        folder = _download(source, revision)
    found = sorted(path.parent for path in folder.rglob(ENCODER))
    if len(found) > 1:
        raise ValueError(
            f"{source} has several checkpoints of SpeechBrain; name one of "
            f"{_listed([str(path) for path in found])}"
        )
    archives = sorted(str(path) for path in folder.rglob("*.7z"))
    if not found and archives:
        raise ValueError(f"{archives[0]} {_UNPACK}")
    folder = found[0] if found else folder
    missing = [name for name in (ENCODER, HEAD) if not (folder / name).is_file()]
    if missing:
        there = sorted(path.name for path in folder.iterdir())
        raise FileNotFoundError(
            f"{source} is no checkpoint of SpeechBrain's SENSE or SAMU recipe: it has "
            f"no {' and no '.join(missing)}, but {_listed(there) or 'no file'}"
        )
    return folder


_UNPACK = (
    "is a packed folder: unpack it (7z x FILE, or pip install py7zr and py7zr x FILE) "
    "and name the folder"
)
_SEVEN_ZIP = b"7z\xbc\xaf\x27\x1c"


def check_no_part(path: Path | str) -> None:
    """Raise an error for a single file of a checkpoint, which is read as a folder.

    Raises:
        ValueError: It is one of a checkpoint's files, or a 7z archive.
    """
    with open(path, "rb") as file:
        if file.read(len(_SEVEN_ZIP)) == _SEVEN_ZIP:
            raise ValueError(f"{path} {_UNPACK}")
    if Path(path).suffix == ".ckpt":
        raise ValueError(
            f"{path} is one file of a checkpoint of SpeechBrain; name the folder that "
            f"has {ENCODER} and {HEAD}"
        )


def _download(source: str, revision: str | None) -> Path:
    """Download the files of a checkpoint on the hub."""
    from huggingface_hub import snapshot_download

    patterns = [f"*{ENCODER}", f"*{HEAD}"]
    return Path(snapshot_download(source, revision=revision, allow_patterns=patterns))


_WEIGHTS = "frontend.state_choice.weights"


def _read_head(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Return options and weights of pooling and projector."""
    head = read_state_dict(path)
    options = {"pooling": "attention", "projector": "identity"}
    if head.keys() == _TWO_ATTRIBUTES:
        state = {
            f"frontend.state_choice.{our}": head[name] for name, our in _MIX.items()
        }
        return options, {
            "pooling.query.weight": head["2.attn_pooling_w.weight"],
            **state,
        }
    unknown = [name for name in head if not _POOLING.fullmatch(name)]
    weights = [v for k, v in head.items() if k.endswith(".attn_pooling_w.weight")]
    if unknown or not weights:
        raise ValueError(
            f"{path} is not of one attention pooling (0.attn_pooling_w.weight and "
            f".bias); it has {_listed(unknown or list(head))}"
        )
    if any(not torch.equal(weights[0], other) for other in weights[1:]):
        raise ValueError(
            f"{path} has {len(weights)} attention poolings that differ; one student "
            "has one"
        )
    return options, {"pooling.query.weight": weights[0]}


def _listed(names: list[str]) -> str:
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "")
