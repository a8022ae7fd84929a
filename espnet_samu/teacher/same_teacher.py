"""A training's data and its checkpoints come from the same teacher."""

import argparse
import json
import logging
from pathlib import Path
from typing import Any

from espnet_samu.teacher.cache import CACHE_FILE, IDENTITY, check_scp, differing_entries
from espnet_samu.train.saved_state import has_state
from espnet_samu.utils.atomic import atomic_write

TEACHER_FILE = "teacher.json"


def check_teacher(args: argparse.Namespace) -> None:
    """Check that a distillation has one teacher, also when resumed.

    Embeddings that were not made by ``teacher_embed`` (no embed.json beside them)
    are taken as they are, with a warning.

    Args:
        args: Of the training: data paths, ``output_dir``, ``resume``.

    Raises:
        ValueError: Embeddings belong to another text, or to another teacher than the
            others or than the checkpoint in output_dir.
    """
    known: dict[str, dict[str, Any]] = {}
    for part in (
        args.train_data_path_and_name_and_type,
        args.valid_data_path_and_name_and_type,
    ):
        for path, name, _ in part:
            if name != "embed":
                continue
            if not (Path(path).parent / CACHE_FILE).exists():
                logging.warning(f"{path}: no embed.json beside it, so not checked")
                continue
            table = check_scp(path)
            known[path] = {key: table.get(key) for key in IDENTITY}
    if not known:
        return
    saved = Path(args.output_dir) / TEACHER_FILE
    if args.resume and has_state(args.output_dir):
        if saved.exists():
            known[str(saved)] = json.loads(saved.read_text(encoding="utf-8"))
    first, *others = known
    for other in others:
        differing = differing_entries(known[first], known[other])
        if differing:
            raise ValueError(
                f"{first} and {other} are of different teachers: "
                + ", ".join(
                    f"{key} {known[first].get(key)} and {known[other].get(key)}"
                    for key in differing
                )
                + "; run stage 6 for all sets, or choose another --samu_tag"
            )
    if args.dist_rank in (None, 0):
        with atomic_write(saved) as f:
            json.dump(known[first], f, indent=2)
            f.write("\n")
