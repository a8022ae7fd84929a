"""Packed models, opened: zip files, folders and models on the hub."""

import contextlib
import fcntl
import hashlib
import logging
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any, Dict, Iterator, Union

import espnet2

import espnet_samu
from espnet_samu.decoding.config_yaml import dump_yaml, map_strings, read_yaml
from espnet_samu.utils.atomic import AtomicFolder, atomic_write

META = "meta.yaml"
# Arguments of Speech2Text that a pack may name files for.
FILES = ("st_model_file", "lm_file")
YAML_FILES = ("st_train_config", "lm_train_config")


@contextlib.contextmanager
def opened(
    tag: Union[Path, str], cache_dir: Union[Path, str, None] = None
) -> Iterator[Dict[str, str]]:
    """Give the files of a packed model, while it is loaded.

    Args:
        tag: Zip file, folder of an unpacked one, or tag on the hub.
        cache_dir: Where a zip file is unpacked. None: in ~/.cache/espnet_samu.

    Yields:
        Arguments of Speech2Text.

    Raises:
        FileNotFoundError: There is no such file, or it is no pack.
        ValueError: The pack would write or read outside its folder, is of another
            task or version, or is of another version and cannot be loaded.
    """
    root = _find(tag, cache_dir)
    meta = _read_meta(root)
    _check_own_version(tag, meta)
    theirs, ours = str(meta.get("espnet", "")), espnet2.__version__
    differs = _major(theirs) not in ("", _major(ours))
    note = f"{tag} was packed with ESPnet {theirs}, but this is ESPnet {ours}"
    if differs:
        logging.warning(note)
    try:
        yield _arguments(root, meta)
    except Exception as error:
        if not differs:
            raise
        raise ValueError(
            f"{note}, which may be why it cannot be loaded: {error}"
        ) from error


def _find(tag: Union[Path, str], cache_dir: Union[Path, str, None]) -> Path:
    """Folder of an unpacked model."""
    path = Path(tag)
    if not path.exists() and path.suffix != ".zip" and not _is_path(str(tag)):
        from espnet_model_zoo.downloader import ModelDownloader

        path = Path(ModelDownloader(cache_dir).download(str(tag)))
    if path.is_dir():
        return path
    if not path.is_file():
        raise FileNotFoundError(f"{tag}: there is no such packed model")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{tag} is no zip file, as stage 14 makes them")
    return _unpack(path.absolute(), cache_dir)


def _is_path(tag: str) -> bool:
    """Whether a name can only be a path: those on the hub are user/name."""
    return tag[:1] in (".", "/", "~") or tag.count("/") > 1


def _unpack(path: Path, cache_dir: Union[Path, str, None]) -> Path:
    """Unpack a zip file, unless it was done before."""
    cache = Path(cache_dir or Path.home() / ".cache" / "espnet_samu")
    folder = cache.absolute() / hashlib.sha256(str(path).encode()).hexdigest()[:16]
    stat = path.stat()
    stamp = f"{path} {stat.st_size} {stat.st_mtime_ns}\n"
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            _check_inside(path, name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Several jobs may open it for the first time at once.
    with open(folder.with_suffix(".lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder / ".stamp"
        if done.is_file() and done.read_text(encoding="utf-8") == stamp:
            return folder
        output = AtomicFolder(folder, "the unpacking of models")
        with zipfile.ZipFile(path) as archive, output as new:
            archive.extractall(new)
            (new / ".stamp").write_text(stamp, encoding="utf-8")
    return folder


def _check_inside(pack: Path, name: str) -> None:
    """Refuse a name that leads out of the pack's folder."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or ".." in parts or parts[0] == "/" or parts[0].endswith(":"):
        raise ValueError(
            f"{pack} names '{name}', which is outside its own folder: it is unsafe and "
            "was not opened"
        )


def _read_meta(root: Path) -> Dict[str, Any]:
    """What a pack says of itself."""
    if not (root / META).is_file():
        raise FileNotFoundError(
            f"{root} has no {META}: it is no packed model. An experiment is read by "
            "st_model_file=FOLDER/CHECKPOINT.pth"
        )
    meta = read_yaml(root / META)
    named = {**meta.get("files", {}), **meta.get("yaml_files", {})}
    wrong = sorted(set(named) - set(FILES + YAML_FILES))
    if wrong or "st_model_file" not in named:
        raise ValueError(
            f"{root}: {META} names {', '.join(sorted(named)) or 'no files'}; a "
            f"translation model has {', '.join(YAML_FILES[:1] + FILES[:1])}"
        )
    for name in named.values():
        _check_inside(root, name)
        if not (root / name).is_file():
            raise FileNotFoundError(f"{root}: {META} names {name}, which is missing")
    return meta


def _check_own_version(tag: Union[Path, str], meta: Dict[str, Any]) -> None:
    theirs, ours = str(meta.get("espnet_samu", "")), espnet_samu.__version__
    if _major(theirs) not in ("", _major(ours)):
        raise ValueError(
            f"{tag} was packed with espnet_samu {theirs}, but this is {ours}; install "
            f"a version {_major(theirs)}.x"
        )


def _major(version: str) -> str:
    """What changes when much does: 1 of 1.2.3, the year of ESPnet's 202611."""
    first = version.partition(".")[0]
    return first[:4] if len(first) == 6 else first


def _arguments(root: Path, meta: Dict[str, Any]) -> Dict[str, str]:
    """Files of a pack, its configurations with paths that hold here."""
    files = {key: str(root / name) for key, name in meta.get("files", {}).items()}
    for key, name in meta.get("yaml_files", {}).items():
        config = read_yaml(root / name)
        resolved = map_strings(lambda value: _resolve(value, root), config)
        path = root / name
        if resolved != config:
            # Beside the original, where base.pth is looked for.
            path = path.with_suffix(".unpacked.yaml")
            with atomic_write(path) as file:
                file.write(dump_yaml(resolved))
        files[key] = str(path)
    return files


def _resolve(value: str, root: Path) -> str:
    """A path in the pack as one that holds here; anything else as it is."""
    if "/" not in value or ".." in value or value.startswith("/") or "\0" in value:
        return value
    return str(root / value) if len(value) < 1024 and (root / value).exists() else value
