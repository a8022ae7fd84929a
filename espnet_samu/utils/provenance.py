"""What a product was made from: ``made_from.json`` in its folder, and differences.

A record has the sum of each input (files by content; audio by size and time of each
recording), the options that decide the content, versions and the command. Names of
folders are for readers only: what was moved or copied is the same.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b, file_digest
from importlib import metadata
from pathlib import Path
from typing import Any

from espnet_samu.utils.atomic import atomic_write
from espnet_samu.utils.safe_reading import read_yaml

RECORD = "made_from.json"
_CACHE = ".sums.json"
_LARGE = 2**20  # bytes: sums of larger files are remembered
_PIECE = 4096  # bytes of a recording's beginning, middle and end
_LIBRARIES = ("espnet-samu", "espnet", "torch", "transformers")

WITHOUT_EFFECT = frozenset(
    "base_weights best_model_criterion collect_stats config "
    "create_graph_in_tensorboard ddp_comm_hook detect_anomaly distributed dry_run "
    "early_stopping_criterion espnet_samu_version frames_cache_dir frames_cache_gb "
    "gradient_as_bucket_view "
    "ignore_init_mismatch keep_nbest_models local_rank log_interval log_level "
    "max_epoch max_wav_duration multiprocessing_distributed "
    "nbest_averaging_interval ngpu no_forward_run num_att_plot num_workers output_dir "
    "patience print_config required resume sharded_ddp unused_parameters "
    "use_matplotlib use_tensorboard use_tf32 use_wandb version "
    "write_collected_feats".split()
)
"""Options of a training that do not decide the weights of an epoch."""
WITHOUT_EFFECT_PREFIXES = ("cudnn_", "dist_", "max_cache_", "valid_", "wandb_")
DECODING_WITHOUT_EFFECT = frozenset(
    "allow_missing batch_size config frames_cache_dir log_level ngpu num_workers "
    "output_dir".split()
)


@dataclass(frozen=True)
class Input:
    """What a product was made from, as far as it decides the product.

    Attributes:
        name: Its path, for readers.
        sum: Of its content. None: it cannot be looked at any more.
        content: Second sum of audio, which is decisive where the first one differs.
    """

    name: str
    sum: str | None
    content: Callable[[], str] | None = None

    def is_same(self, recorded: Mapping[str, Any]) -> bool:
        """Return whether it is what was recorded, as far as it can be known."""
        if None in (self.sum, recorded["sum"]) or self.sum == recorded["sum"]:
            return True
        if self.content is None or "content" not in recorded:
            return False
        return self.content() == recorded["content"]


def hash_text(*parts: str | bytes) -> str:
    """Return the sum of texts."""
    total = blake2b(digest_size=16)
    for part in parts:
        total.update(part if isinstance(part, bytes) else part.encode())
        total.update(b"\0")
    return total.hexdigest()


class FileSums:
    """Sums of files by content; those of large files are remembered in a folder.

    Args:
        folder: Has a table by path, size and time. None: nothing is remembered.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._path = None if folder is None else folder / _CACHE
        self._known: dict[str, list[Any]] = {}
        try:
            if self._path is not None:
                self._known = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            pass

    def of_file(self, path: Path) -> str:
        """Return the sum of a file."""
        status, key = os.stat(path), os.path.realpath(path)
        stamp = [status.st_size, status.st_mtime_ns]
        if self._known.get(key, [])[:2] == stamp:
            return self._known[key][2]
        with open(path, "rb") as f:
            total = file_digest(f, lambda: blake2b(digest_size=16)).hexdigest()
        if status.st_size >= _LARGE and self._path is not None:
            self._known[key] = [*stamp, total]
            try:
                with atomic_write(self._path) as f:
                    json.dump(self._known, f)
            except OSError:
                pass  # A folder that cannot be written to has no table.
        return total

    def of_folder(self, path: Path) -> str:
        """Return one sum over names and contents of a folder, but of hidden files."""
        files = (p.relative_to(path) for p in path.rglob("*") if p.is_file())
        used = sorted(
            f.as_posix()
            for f in files
            if f.name != RECORD and not any(part.startswith(".") for part in f.parts)
        )
        return hash_text(*(f"{name} {self.of_file(path / name)}" for name in used))

    def input(self, path: Path | str) -> Input:
        """Return a file or folder as an input."""
        path = Path(path)
        if path.is_dir():
            return Input(str(path), self.of_folder(path))
        return Input(str(path), self.of_file(path) if path.is_file() else None)


def audio_input(wav_scp: Path) -> Input:
    """Return the recordings of a wav.scp as one input.

    The first sum is over id, file name, size and time in ns of each recording. That of
    the content, which a copied corpus shares, is over size and pieces of each: a FLAC
    has a checksum of all its samples in its first bytes.
    """
    found: list[tuple[str, str, int, int]] = []  # id, path, size, time
    with open(wav_scp, encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            key, _, value = line.rstrip().partition(" ")
            for path in _files_of(value):
                try:
                    status = os.stat(path)
                    found.append((key, path, status.st_size, status.st_mtime_ns))
                except OSError:
                    found.append((key, path, -1, 0))
    names = (f"{k} {p.rpartition('/')[2]} {size} {time}" for k, p, size, time in found)
    # Recordings that are gone are not other recordings.
    gone = all(size < 0 for _, _, size, _ in found)

    def content() -> str:
        total = blake2b(digest_size=16)
        for key, path, size, _ in found:
            total.update(os.fsencode(f"{key} {size}\n"))
            total.update(_pieces(path, size))
        return total.hexdigest()

    first = None if gone else hash_text(os.fsencode("\n".join(names)))
    return Input(str(wav_scp), first, content)


def _files_of(value: str) -> Sequence[str]:
    """Return the files that an entry of wav.scp reads."""
    value = value.strip()
    if value.endswith("|"):  # sox -t flac a.flac -t wav - speed 0.9 |
        return [word for word in value.split() if "." in word and os.path.isfile(word)]
    path, colon, place = value.rpartition(":")
    return [path] if colon and place.isdigit() else [value]  # a.ark:1234


def _pieces(path: str, size: int) -> bytes:
    """Return the beginning, the middle and the end of a recording."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        pieces = os.pread(descriptor, _PIECE, 0)
        if size > _PIECE:
            pieces += os.pread(descriptor, _PIECE, size - _PIECE)
            if not path.endswith(".flac"):
                pieces += os.pread(descriptor, _PIECE, size // 2)
        return pieces
    finally:
        os.close(descriptor)


def flat_options(
    config: Path | None,
    arguments: str,
    without_effect: Iterable[str] = WITHOUT_EFFECT,
    prefixes: tuple[str, ...] = WITHOUT_EFFECT_PREFIXES,
) -> dict[str, str]:
    """Return the options that a configuration and a command line set.

    Args:
        config: YAML file; neither comments nor the order of keys matter.
        arguments: ``--name value ...``, which take precedence.
        without_effect: Names that are left out.
        prefixes: Beginnings of names that are left out.

    Returns:
        Value as JSON by name; those of parts by ``frontend_conf.model``.
    """
    flat: dict[str, str] = {}
    if config is not None and config.is_file():
        _flatten("", read_yaml(config), flat)
    given: dict[str, list[str]] = {}
    name = ""
    for word in arguments.split():  # as samu_st.sh hands them on
        if word.startswith("--"):
            name, equal, value = word[2:].replace("-", "_").partition("=")
            given.setdefault(name, []).extend([value] if equal else [])
        else:
            given.setdefault(name, []).append(word)
    for name, values in given.items():
        pairs = [value.partition("=") for value in values]
        if name.endswith("_conf") and all(equal for _, equal, _ in pairs):
            for key, _, value in pairs:
                flat[f"{name}.{key}"] = _as_json(_read(value))
        else:
            flat[name] = _as_json(
                [_read(v) for v in values] if values[1:] else _read("".join(values))
            )
    left_out = frozenset(without_effect)
    return {
        name: value
        for name, value in flat.items()
        if name.partition(".")[0] not in left_out and not name.startswith(prefixes)
    }


def _flatten(prefix: str, value: Mapping[str, Any], flat: dict[str, str]) -> None:
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            _flatten(f"{prefix}{key}.", item, flat)
        else:
            flat[f"{prefix}{key}"] = _as_json(_read(item))


def _read(value: Any) -> Any:
    """Return what a text of YAML or of a command line stands for: 1e-4 is a number."""
    if isinstance(value, list):
        return [_read(item) for item in value]
    if not isinstance(value, str):
        return value
    try:
        return float(value) if float(value) % 1 else int(float(value))
    except (ValueError, OverflowError):
        return {"true": True, "false": False, "none": None}.get(value.lower(), value)


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def split_paths(
    options: Mapping[str, str], sums: FileSums
) -> tuple[dict[str, Input], dict[str, str]]:
    """Return the options that name a local file or folder as inputs, and the others."""
    inputs, others = {}, {}
    for name, text in options.items():
        value = json.loads(text)
        path = value.partition(":")[0] if isinstance(value, str) else ""
        if "/" in path and os.path.exists(path):
            inputs[name] = sums.input(path)
        else:
            others[name] = text
    return inputs, others


def write_record(
    folder: Path,
    inputs: Mapping[str, Input],
    options: Mapping[str, Any],
    command: str,
    finished: bool = True,
) -> None:
    """Write what a folder was made from, after everything else in it.

    Args:
        folder: The product.
        inputs: By their role.
        options: Those that decide its content.
        command: What made it.
        finished: False before the work begins, where a half product looks like a whole.
    """
    versions = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            pass
    table = {
        "finished": finished,
        "inputs": {
            role: {
                "name": item.name,
                "sum": item.sum,
                **({"content": item.content()} if item.content else {}),
            }
            for role, item in inputs.items()
        },
        "options": dict(options),
        "versions": versions,
        "command": command,
    }
    with atomic_write(folder / RECORD) as f:
        json.dump(table, f, indent=2, ensure_ascii=False)
        f.write("\n")


def read_record(folder: Path) -> dict[str, Any] | None:
    """Read what a folder was made from; None: it is not recorded."""
    try:
        table = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return table if isinstance(table, dict) and "inputs" in table else None


def differences(
    record: Mapping[str, Any],
    inputs: Mapping[str, Input],
    options: Mapping[str, Any],
) -> list[str]:
    """Return, in words, where a product was made from something else.

    Args:
        record: From `read_record`.
        inputs: As they are now, by their role.
        options: As they are now.
    """
    known, chosen = record["inputs"], record["options"]
    found = []
    for role in dict.fromkeys((*known, *inputs)):
        if role not in inputs:
            # A folder that an option names was removed: nothing says it is another.
            if not _is_path(options.get(role), known[role]["name"]):
                found.append(f"{role} ({known[role]['name']}) is gone")
        elif role not in known:
            if inputs[role].sum is None:
                continue
            if role not in chosen:
                found.append(f"{role} ({inputs[role].name}) is new")
            elif not _is_path(chosen[role], inputs[role].name):
                found.append(f"{role} {chosen[role]} -> {inputs[role].name}")
        elif not inputs[role].is_same(known[role]):
            found.append(f"{role} ({inputs[role].name}) is another one")
    for name in dict.fromkeys((*chosen, *options)):
        if name in known or name in inputs:
            continue
        before, value = chosen.get(name), options.get(name)
        if before != value:
            texts = ["not set" if x is None else x for x in (before, value)]
            found.append(f"{name} {texts[0]} -> {texts[1]}")
    return found


def _is_path(option: str | None, name: str) -> bool:
    """Return whether an option names this path."""
    value = json.loads(option) if option else None
    return isinstance(value, str) and Path(value.partition(":")[0]) == Path(name)


def summarize(found: Sequence[str], most: int = 4) -> str:
    """Return differences in one line."""
    more = f", and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more
