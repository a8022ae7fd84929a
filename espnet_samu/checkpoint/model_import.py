"""Import of a published translation model or student as an experiment.

The folder is what training would leave: config.yaml, which needs neither the hub nor
the published folder, and a checkpoint. Beside those of a translation model are the
tokeniser and the published decoding settings.
"""

import argparse
import copy
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from espnet2.tasks.abs_task import AbsTask

from espnet_samu.checkpoint.published_model import Decoding, PublishedST
from espnet_samu.checkpoint.published_seamless import PublishedSeamless
from espnet_samu.st_model import SamuSTModel
from espnet_samu.tasks.samu import SAMUTask
from espnet_samu.tasks.st import STTask
from espnet_samu.text.checkpoint import find_weights
from espnet_samu.text.tokenizer_files import TOKENIZER
from espnet_samu.utils import hub, huggingface, seamless
from espnet_samu.utils.atomic import AtomicFolder
from espnet_samu.utils.safe_reading import dump_yaml
from espnet_samu.utils.state_dict import load_strictly

CONFIG, MODEL, DECODE = "config.yaml", "imported.pth", "decode.yaml"
# The checkpoint that samu_st.sh decodes with if no other is named.
DEFAULT_MODEL = "valid.acc.best.pth"


def import_st(
    source: str,
    output_dir: Path | str,
    revision: str | None = None,
    tgt_lang_token: str | None = None,
) -> None:
    """Write the experiment folder of a published model.

    Args:
        source: Hub id or folder of a ``SpeechEncoderDecoderModel`` of transformers, or
            of a SeamlessM4T.
        output_dir: Replaced as a whole if an earlier import made it. config.yaml
            names the tokeniser in it by this path: as ESPnet's own paths, one that is
            relative is relative to where the model is used.
        revision: Branch, tag or commit on the hub.
        tgt_lang_token: Token that begins every translation, e.g. ``de_DE``. None: the
            one that the published model is decoded with, if there is one. Of a
            SeamlessM4T any name of a language that it translates into: ``fra``.

    Raises:
        OSError: There is no such model, or a file of it is missing.
        ValueError: output_dir is the source's folder or holds what st_import has not
            made; the model is of a kind that is not imported, its weights are not what
            its configuration says, or there is no such target-language token.
    """
    output = AtomicFolder(output_dir, "st_import", [source])
    kind = huggingface.read_model_type(hub.locate(source, revision), revision)
    family = PublishedSeamless if kind in seamless.TYPES else PublishedST
    published: PublishedST | PublishedSeamless = family(source, revision)
    files = find_weights(published.source, revision)
    decoding = published.decoding
    with output as folder:
        tokens = published.save_tokenizer(folder / TOKENIZER)
        tgt_lang_token = published.target_language(tgt_lang_token, tokens)
        config = {
            **task_defaults(STTask),
            "token_list": tokens,
            "token_type": "hugging_face",
            "bpemodel": str(Path(output_dir) / TOKENIZER),
            "src_token_type": "none",
            "frontend": "samu",
            "frontend_conf": published.frontend_conf(),
            "specaug": None,
            "normalize": None,
            "encoder": "passthrough",
            "decoder": "mbart",
            "decoder_conf": published.decoder_conf(),
            "tgt_lang_token": tgt_lang_token,
            "model_conf": _model_conf(decoding, tokens),
        }
        # A copy, since the task writes into it.
        model = STTask.build_model(argparse.Namespace(**copy.deepcopy(config)))
        try:
            published.fill(model, files)
        except ValueError as error:
            raise ValueError(f"{source}: {error}") from error
        torch.save(model.state_dict(), folder / MODEL)
        (folder / DEFAULT_MODEL).symlink_to(MODEL)
        origin = f"Imported from {source}"
        origin += "" if revision is None else f" at {revision}"
        write_yaml(folder / CONFIG, origin, config)
        write_yaml(folder / DECODE, origin, decoding.options)
    _tell(source, output_dir, model, tgt_lang_token, decoding)


def task_defaults(task: type[AbsTask]) -> dict[str, Any]:
    """Return a task's options for building and using a model."""
    parser = argparse.ArgumentParser()
    # The task writes down there what ESPnet asks for.
    parser.set_defaults(required=[])
    task.add_task_arguments(parser)
    defaults = vars(parser.parse_args([]))
    del defaults["required"]
    return defaults


def _model_conf(decoding: Decoding, tokens: list[str]) -> dict[str, Any]:
    return {
        "tgt_sym_sos": tokens[decoding.start],
        "tgt_sym_eos": tokens[decoding.end],
        "report_bleu": False,
        "extract_feats_in_collect_stats": False,
    }


def write_yaml(path: Path, comment: str, content: dict[str, Any]) -> None:
    """Write a configuration below a comment."""
    path.write_text(f"# {comment}\n{dump_yaml(content)}", encoding="utf-8")


def _tell(
    source: str,
    output_dir: Path | str,
    model: SamuSTModel,
    tgt_lang_token: str | None,
    decoding: Decoding,
) -> None:
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    logging.info(
        f"{output_dir}: written from {source}, {millions:.1f} M parameters, "
        f"translations begin with {model.token_list[decoding.start]} "
        f"{tgt_lang_token or ''}"
    )
    if tgt_lang_token is None:
        logging.warning(
            f"{source} forces no target language: name one with --tgt_lang_token if "
            "it was trained for several"
        )
    if decoding.left_out:
        logging.warning(
            f"{source} was meant to be decoded with {decoding.left_out}, which "
            "st_inference does not have"
        )


@dataclass(frozen=True)
class PublishedStudent:
    """Student of another toolkit, under the names of ours."""

    options: dict[str, Any]
    """Options of the task that build it: ``frontend_conf``, ``pooling``, ..."""
    state: dict[str, torch.Tensor]
    """Weights by our names."""
    architecture: str
    """Where the sizes come from, for messages."""
    teacher: str
    """Hub id of the text encoder that its kind is distilled from."""
    assumed: list[str] = field(default_factory=list)
    """What the checkpoint does not say, or was left out, for the log."""


def write_student(student: PublishedStudent, source: str, output: AtomicFolder) -> None:
    """Write the experiment folder of a student.

    Args:
        student: As read by ``speechbrain.read_student`` or ``fairseq.read_student``.
        source: Where it was read, for the log and config.yaml.
        output: Replaced as a whole if an earlier import made it.

    Raises:
        ValueError: Weights are missing, unknown or of another shape; names them.
    """
    config = {
        **task_defaults(SAMUTask),
        "frontend": "samu",
        "encoder": "passthrough",
        **student.options,
    }
    # A copy, since the task writes into it.
    args = argparse.Namespace(**copy.deepcopy(config))
    model = SAMUTask.build_model(args)
    what = f"{source}: the weights are not those of {student.architecture}"
    load_strictly(what, model, student.state)
    with output as folder:
        torch.save(model.state_dict(), folder / MODEL)
        config["frontend_conf"] = args.frontend_conf
        write_yaml(folder / CONFIG, f"Imported from {source}", config)
    for line in student.assumed:
        logging.warning(f"{source}: {line}")
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    logging.info(
        f"{output.path / MODEL}: written from {source}, {millions:.1f} M parameters; "
        f"compare its embeddings with those of --teacher {student.teacher}"
    )
