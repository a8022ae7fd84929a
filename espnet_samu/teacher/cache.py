"""What a folder of teacher embeddings was made from (`embed.json`)."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from espnet_samu.utils.atomic import atomic_write

CACHE_FILE = "embed.json"


def hash_file(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def hash_folder(path: str | os.PathLike[str]) -> str | None:
    """Return one SHA-256 over names and contents of a folder's files.

    A teacher that was trained again under the same name must not look up to date.

    Args:
        path: Local folder; anything else (a hub id) has no hash.

    Returns:
        Hexadecimal hash, or None when `path` is not a folder.
    """
    folder = Path(path)
    if not folder.is_dir():
        return None
    total = hashlib.sha256()
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = file.relative_to(folder).as_posix()
        total.update(f"{name} {hash_file(file)}\n".encode())
    return total.hexdigest()


def cache_key(
    teacher: str,
    revision: str | None,
    normalized: bool,
    text_file: str | os.PathLike[str],
    teacher_sha256: str | None,
) -> dict[str, Any]:
    """Return the entries of `embed.json` that decide whether a cache is up to date.

    Args:
        teacher: Hub id or local folder, as given by the user.
        revision: Branch, tag or commit of a hub model.
        normalized: Whether embeddings have length 1.
        text_file: Kaldi text file that is embedded.
        teacher_sha256: `hash_folder(teacher)`.
    """
    return {
        "teacher": teacher,
        "revision": revision,
        "teacher_sha256": teacher_sha256,
        "normalized": normalized,
        "text_sha256": hash_file(text_file),
    }


def read_cache(scp_dir: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the content of `embed.json`, {} when there is none or it is broken."""
    try:
        table = json.loads((Path(scp_dir) / CACHE_FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return table if isinstance(table, dict) else {}


def write_cache(scp_dir: str | os.PathLike[str], table: dict[str, Any]) -> None:
    """Write `embed.json`, atomically; the last file of a cache to appear."""
    with atomic_write(Path(scp_dir) / CACHE_FILE) as f:
        json.dump(table, f, indent=2, ensure_ascii=False)
        f.write("\n")


def is_up_to_date(scp_dir: str | os.PathLike[str], key: dict[str, Any]) -> bool:
    """Tell whether a folder's embeddings exist and were made from `key`."""
    table = read_cache(scp_dir)
    return (
        all(name in table and table[name] == value for name, value in key.items())
        and (Path(scp_dir) / "embed.scp").is_file()
        and (Path(scp_dir) / "embed.ark").is_file()
    )


def check_cache(
    scp_dir: str | os.PathLike[str], text_file: str | os.PathLike[str]
) -> dict[str, Any]:
    """Refuse teacher embeddings that were made from another text.

    Args:
        scp_dir: Folder with `embed.scp` and `embed.json`.
        text_file: Kaldi text file that training uses.

    Returns:
        The content of `embed.json`.

    Raises:
        ValueError: When `embed.json` is missing or names another text's hash.
    """
    table = read_cache(scp_dir)
    if not table:
        raise ValueError(
            f"{Path(scp_dir) / CACHE_FILE} is missing or broken: run "
            f"espnet_samu.bin.teacher_embed --text {text_file} --output_dir {scp_dir}"
        )
    expected, actual = table.get("text_sha256"), hash_file(text_file)
    if expected != actual:
        raise ValueError(
            f"teacher embeddings in {scp_dir} belong to another text: text_sha256 is "
            f"{expected}, but {text_file} has {actual}; run "
            "espnet_samu.bin.teacher_embed again"
        )
    return table
