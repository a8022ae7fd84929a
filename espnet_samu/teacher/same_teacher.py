"""Checks that data, student and resumed training have the same teacher."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from espnet_samu.teacher.cache import (
    CACHE_FILE,
    IDENTITY,
    check_scp,
    differing_entries,
    read_cache,
)
from espnet_samu.train.saved_state import has_state
from espnet_samu.utils.atomic import atomic_write
from espnet_samu.utils.distributed import is_first

TEACHER_FILE = "teacher.json"


def check_teacher(
    files: Sequence[tuple[str, str, str]], output_dir: str, resume: bool
) -> None:
    """Check that a distillation has one teacher, also when resumed.

    Embeddings that were not made by ``teacher_embed`` (no embed.json beside them)
    are taken as they are, with a warning.

    Args:
        files: File, name and type of the training's data, validation included.
        output_dir: Of the training; the teacher's name is saved there.
        resume: Whether a checkpoint there is resumed.

    Raises:
        ValueError: Embeddings belong to another text, or to another teacher than the
            others or than the checkpoint in output_dir.
    """
    known: dict[str, dict[str, Any]] = {}
    for path, name, _ in files:
        if name != "embed":
            continue
        if not (Path(path).parent / CACHE_FILE).exists():
            logging.warning(f"{path}: no embed.json beside it, so not checked")
            continue
        table = check_scp(path)
        known[path] = {key: table.get(key) for key in IDENTITY}
    if not known:
        return
    saved = Path(output_dir) / TEACHER_FILE
    if resume and has_state(output_dir):
        if saved.exists():
            known[str(saved)] = json.loads(saved.read_text(encoding="utf-8"))
    first, *others = known
    for other in others:
        found = _differences(known[first], known[other])
        if found:
            raise ValueError(
                f"{first} and {other} are of different teachers: {found}; run stage 6 "
                "for all sets, or choose another --samu_tag"
            )
    if is_first():
        with atomic_write(saved) as f:
            json.dump(known[first], f, indent=2)
            f.write("\n")


def check_embeddings_of_student(scp_file: str, student: Path, option: str) -> None:
    """Check that embeddings are of the teacher of a student.

    Args:
        scp_file: The embeddings; without embed.json beside them nothing is compared.
        student: Checkpoint; without teacher.json beside it nothing is compared.
        option: What names other embeddings, for the message.

    Raises:
        ValueError: They are of another teacher.
    """
    saved = student.parent / TEACHER_FILE
    table = read_cache(Path(scp_file).parent)
    if not saved.exists() or not table:
        return
    found = _differences(table, json.loads(saved.read_text(encoding="utf-8")))
    if found:
        raise ValueError(
            f"samu_weight: {scp_file} is of another teacher than the student "
            f"{student}: {found}; distil again (stages 6-8), or name the embeddings of "
            f"the student's teacher by {option}"
        )


def _differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Return in which entries two teachers differ, with both values; "" if in none."""
    return ", ".join(
        f"{key} {one.get(key)} and {other.get(key)}"
        for key in differing_entries(one, other)
    )
