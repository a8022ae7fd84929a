"""Sentence embeddings on disk: what they were made from, and checks."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from espnet_samu.utils.atomic import atomic_write
from espnet_samu.utils.safe_reading import hash_file

if TYPE_CHECKING:
    import numpy as np


def check_vectors(vectors: np.ndarray, texts: Sequence[str], name: str) -> None:
    """Raise an error for embeddings that are zero or not finite.

    Args:
        vectors: Embeddings (N, D).
        texts: The N sentences, for the message.
        name: The teacher, for the message.

    Raises:
        ValueError: Naming teacher and sentence, when a value is NaN or infinite or
            all values of a sentence are 0.
    """
    import numpy as np

    finite = np.isfinite(vectors).all(axis=1)
    for bad, what in ((~finite, "not finite"), (~vectors.any(axis=1), "all zeros")):
        if bad.any():
            raise ValueError(
                f"teacher {name!r}: {np.count_nonzero(bad)} of {len(texts)} embeddings "
                f"are {what}, the first is that of {texts[int(bad.argmax())]!r}. If "
                "this is not float32, try --dtype float32; else the weights are broken"
            )


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Return rows (N, D), L2-normalised; no row may be all zeros."""
    import numpy as np

    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


CACHE_FILE = "embed.json"
SCP_FILE = "embed.scp"
ARK_FILE = "embed.ark"
COMMAND = "espnet_samu.bin.teacher_embed"
LIBRARIES = ("sentence-transformers", "transformers", "torch", "numpy")


def hash_folder(path: str | os.PathLike[str]) -> str | None:
    """Return one SHA-256 over names and contents of a folder's files.

    A teacher that was trained again under the same name must not look up to date.

    Args:
        path: Local folder; anything else (a hub id) has no hash.

    Returns:
        Hexadecimal hash, or None when ``path`` is not a folder.
    """
    folder = Path(path)
    if not folder.is_dir():
        return None
    total = hashlib.sha256()
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = file.relative_to(folder).as_posix()
        total.update(f"{name} {hash_file(file)}\n".encode())
    return total.hexdigest()


def teacher_key(
    teachers: Sequence[str],
    revisions: Sequence[str | None],
    combine: str,
    normalized: bool,
    dtype: str,
    prompts: Sequence[str | None] | None = None,
) -> dict[str, Any]:
    """Return the entries of ``embed.json`` that name the teacher.

    Args:
        teachers: Hub ids or local folders, as given by the user.
        revisions: Branch, tag or commit of every teacher.
        combine: How several teachers make one embedding.
        normalized: Whether embeddings have length 1.
        dtype: Precision of the teacher's arithmetic.
        prompts: Prompt of every teacher; None, the model's own.
    """
    prompts = prompts or [None] * len(teachers)
    return {
        "teachers": [
            {
                "name": name,
                "revision": revision,
                "sha256": hash_folder(name),
                **({} if prompt is None else {"prompt": prompt}),
            }
            for name, revision, prompt in zip(teachers, revisions, prompts, strict=True)
        ],
        "combine": combine if len(teachers) > 1 else None,
        "normalized": normalized,
        "dtype": dtype,
    }


def text_key(text_file: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the entry of ``embed.json`` that names the content of a text file."""
    return {"text_sha256": hash_file(text_file)}


def describe_files(scp_dir: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the entries of ``embed.json`` that reveal a replaced scp or ark.

    The ark may have gigabytes: its size and both its ends (1 MiB each) are looked at.
    """
    ends = hashlib.sha256()
    with open(Path(scp_dir) / ARK_FILE, "rb") as f:
        size = os.fstat(f.fileno()).st_size
        for offset in (0, max(0, size - 2**20)):
            f.seek(offset)
            ends.update(f.read(2**20))
    return {
        "scp_sha256": hash_file(Path(scp_dir) / SCP_FILE),
        "ark_bytes": size,
        "ark_ends_sha256": ends.hexdigest(),
    }


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that compute the embeddings."""
    return {name: metadata.version(name) for name in LIBRARIES}


def read_cache(scp_dir: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the content of ``embed.json``, {} when it is missing or broken."""
    try:
        table = json.loads((Path(scp_dir) / CACHE_FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return table if isinstance(table, dict) else {}


def write_cache(scp_dir: str | os.PathLike[str], table: dict[str, Any]) -> None:
    """Write ``embed.json``, atomically, after all other files of a cache."""
    with atomic_write(Path(scp_dir) / CACHE_FILE) as f:
        json.dump(table, f, indent=2, ensure_ascii=False)
        f.write("\n")


IDENTITY = ("teachers", "combine", "normalized", "dtype", "dimension")
"""Entries of embed.json that tell one teacher from another."""


def identity(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries that tell one teacher from another.

    The name of a local folder does not: the same teacher elsewhere is the same.

    Args:
        table: Content of ``embed.json``, or what this function returned.
    """
    return {
        **{key: table.get(key) for key in IDENTITY},
        "teachers": [
            {k: v for k, v in teacher.items() if k != "name" or not _is_local(teacher)}
            for teacher in table.get("teachers") or []
        ],
    }


def differing_entries(table: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return the names of the entries in which two teachers differ."""
    one, two = identity(table), identity(other)
    return [key for key in IDENTITY if one[key] != two[key]]


def _is_local(teacher: Mapping[str, Any]) -> bool:
    return teacher.get("sha256") is not None


def differences(
    scp_dir: str | os.PathLike[str],
    teachers: Sequence[str],
    prompt: str,
    text_file: str | os.PathLike[str],
) -> list[str]:
    """Return, in words, in which way embeddings were made from something else.

    Args:
        scp_dir: Folder of the embeddings; without ``embed.json`` nothing is known.
        teachers: Hub ids or folders. A folder that is gone is not compared.
        prompt: That of all teachers; "": not compared.
        text_file: Kaldi text file.
    """
    table = read_cache(scp_dir)
    if not table:
        return []
    found = []
    if Path(text_file).is_file() and table.get("text_sha256") != hash_file(text_file):
        found.append(f"{text_file} is another one")
    known = table.get("teachers") or []
    if len(known) != len(teachers):
        found.append(f"{len(known)} teachers -> {len(teachers)}")
    for name, teacher in zip(teachers, known):
        sha256 = hash_folder(name)
        if sha256 is None and _is_local(teacher):
            continue
        if sha256 != teacher.get("sha256") or (
            sha256 is None and name != teacher["name"]
        ):
            found.append(f"the teacher {name} is another one")
        if prompt and teacher.get("prompt") != prompt:
            found.append(f"the prompt of {name} is another one")
    return found


def is_up_to_date(scp_dir: str | os.PathLike[str], key: dict[str, Any]) -> bool:
    """Return whether a folder's embeddings exist and were made from ``key``.

    Args:
        scp_dir: Folder with ``embed.scp`` and ``embed.json``.
        key: Entries of ``teacher_key`` and ``text_key``.
    """
    table = read_cache(scp_dir)
    if "teachers" in table and "teachers" in key:
        # Wherever a local teacher is.
        table = {**table, "teachers": identity(table)["teachers"]}
        key = {**key, "teachers": identity(key)["teachers"]}
    try:
        return _contains(table, key) and _contains(table, describe_files(scp_dir))
    except FileNotFoundError:
        return False


def _contains(table: dict[str, Any], entries: dict[str, Any]) -> bool:
    return all(name in table and table[name] == v for name, v in entries.items())


def check_scp(scp_file: str | os.PathLike[str]) -> dict[str, Any]:
    """Check that teacher embeddings are those of their text, as it is now.

    Args:
        scp_file: ``embed.scp``, beside its ``embed.ark`` and ``embed.json``. If the
            text that was embedded does not exist any more, it is not compared.

    Returns:
        The content of ``embed.json``.

    Raises:
        ValueError: When a file is missing, when the text's hash is another one than
            that of the embedded text, or when ``embed.scp`` or ``embed.ark`` is not the
            one that ``embed.json`` describes.
    """
    folder = Path(scp_file).parent
    table = read_cache(folder)
    if not table:
        raise ValueError(
            f"{folder / CACHE_FILE} is missing or broken, so it is unknown what "
            f"{scp_file} was made from: run {COMMAND} --output_dir {folder}"
        )
    text_file = table.get("text", "")
    if Path(text_file).is_file():
        expected, actual = table.get("text_sha256"), hash_file(text_file)
        if expected != actual:
            raise ValueError(
                f"teacher embeddings in {folder} belong to another text: text_sha256 "
                f"is {expected}, but {text_file} has {actual}; run {COMMAND} again"
            )
    try:
        found = {**describe_files(folder), "scp_sha256": hash_file(scp_file)}
    except FileNotFoundError as e:
        raise ValueError(f"{e.filename} is missing; run {COMMAND} again") from e
    for name, value in found.items():
        if table.get(name) != value:
            raise ValueError(
                f"{folder / (ARK_FILE if name.startswith('ark') else SCP_FILE)} is not "
                f"the one that {CACHE_FILE} describes: {name} is {value}, not "
                f"{table.get(name)}; run {COMMAND} again"
            )
    return table
