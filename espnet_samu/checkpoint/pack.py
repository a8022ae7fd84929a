"""Reading of packed models: zip files, folders and hub models."""

import contextlib
import fcntl
import hashlib
import logging
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import espnet2

import espnet_samu
from espnet_samu.utils import hub
from espnet_samu.utils.atomic import AtomicFolder
from espnet_samu.utils.safe_reading import (
    Configuration,
    check_no_pointer,
    check_zip_size,
    map_strings,
    read_yaml,
)

META = "meta.yaml"
# ESPnet's own Speech2Text takes the names of files for arguments, and refuses this one
# before it builds another model than the one that was packed.
LOAD_BY = "load it by espnet_samu.speech2text.Speech2Text.from_pretrained"


class Kind(NamedTuple):
    """Content of a pack: a task's entry point and the arguments that name files."""

    name: str
    """In messages."""
    opener: str
    """Class that takes the arguments."""
    files: tuple[str, ...]
    """Checkpoints, the model's first."""
    yaml_files: tuple[str, ...]
    """Their configurations."""


TRANSLATION = Kind(
    "a translation model",
    "Speech2Text",
    ("st_model_file", "lm_file"),
    ("st_train_config", "lm_train_config"),
)
STUDENT = Kind(
    "a student", "Speech2Embedding", ("samu_model_file",), ("samu_train_config",)
)
# Encoders of ESPnet that unpickle what their options name.
_UNPICKLING = ("hubert", "hubert_pretrain", "wav2vec2")


@contextlib.contextmanager
def opened(
    tag: Path | str,
    cache_dir: Path | str | None = None,
    kind: Kind = TRANSLATION,
) -> Iterator[dict[str, str | Configuration]]:
    """Open a packed model's files, in a with block.

    A pack may come from a stranger: nothing of it is run. Reading writes nothing, but
    a zip file that is opened for the first time is unpacked.

    Args:
        tag: Zip file, folder of an unpacked one, or tag on the hub.
        cache_dir: Where a zip file is unpacked. None: in ~/.cache/espnet_samu.
        kind: What it has to hold.

    Yields:
        Arguments of the kind's class.

    Raises:
        FileNotFoundError: There is no such file, or it is no pack.
        ValueError: The pack would write or read outside its folder, run code, or
            become far larger; it is of another task or version, or is of another
            version and cannot be loaded.
    """
    root = _find(tag, cache_dir)
    meta = _read_meta(root, kind)
    _check_own_version(tag, meta)
    theirs, ours = str(meta.get("espnet", "")), espnet2.__version__
    differs = _major(theirs) not in ("", _major(ours))
    note = f"{tag} was packed with ESPnet {theirs}, but this is ESPnet {ours}"
    if differs:
        logging.warning(note)
    try:
        yield _arguments(root, meta, kind)
    except Exception as error:
        if differs:
            raise ValueError(
                f"{note}, which may be why it cannot be loaded: {error}"
            ) from error
        if isinstance(error, (OSError, ValueError)):
            raise
        # An option of a type that no class takes, and the like.
        kind_of_error = type(error).__name__
        raise ValueError(f"{tag} cannot be loaded: {kind_of_error}: {error}") from error


def _find(tag: Path | str, cache_dir: Path | str | None) -> Path:
    """Return the folder of an unpacked model."""
    path = Path(tag)
    if not path.exists() and path.suffix != ".zip" and not hub.is_path(str(tag)):
        from espnet_model_zoo.downloader import ModelDownloader

        path = Path(hub.locate(str(tag), cache_dir=cache_dir))
        if not path.is_dir():
            path = Path(ModelDownloader(cache_dir).download(str(tag)))
    if path.is_dir():
        return path
    if not path.is_file():
        raise FileNotFoundError(f"{tag}: there is no such packed model")
    check_no_pointer(path)
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{tag} is not a zip file as stage 14 writes, or truncated")
    return _unpack(path.absolute(), cache_dir)


def _unpack(path: Path, cache_dir: Path | str | None) -> Path:
    """Unpack a zip file, unless done before."""
    cache = Path(cache_dir or Path.home() / ".cache" / "espnet_samu")
    folder = cache.absolute() / hashlib.sha256(str(path).encode()).hexdigest()[:16]
    stat = path.stat()
    stamp = f"{path} {stat.st_size} {stat.st_mtime_ns}\n"
    size = check_zip_size(path)
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            _check_inside(path, name)
    if _is_unpacked(folder, stamp):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = open(folder.with_suffix(".lock"), "w", encoding="utf-8")
    except OSError as error:
        raise OSError(
            f"{path} cannot be unpacked in {cache}; name a cache_dir that can be "
            f"written, or unpack it and give the folder ({error})"
        ) from error
    # Several jobs may open it for the first time at once.
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _is_unpacked(folder, stamp):
            return folder
        free = shutil.disk_usage(cache).free
        if size > free:
            raise ValueError(
                f"{path} needs {size / 1e9:.1f} GB when unpacked, but {cache} has "
                f"{free / 1e9:.1f} GB left; name another cache_dir"
            )
        output = AtomicFolder(folder, "the unpacking of models")
        try:
            with zipfile.ZipFile(path) as archive, output as new:
                archive.extractall(new)
                (new / ".stamp").write_text(stamp, encoding="utf-8")
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            # RuntimeError: encrypted, or (its subclass) packed in an unknown way.
            raise ValueError(
                f"{path} cannot be unpacked; is it whole? {error}"
            ) from error
    return folder


def _is_unpacked(folder: Path, stamp: str) -> bool:
    done = folder / ".stamp"
    return done.is_file() and done.read_text(encoding="utf-8") == stamp


def _check_inside(pack: Path, name: str) -> None:
    """Raise an error for a name that points out of the pack's folder."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or ".." in parts or parts[0] == "/" or parts[0].endswith(":"):
        raise ValueError(
            f"{pack} names '{name}', which is outside its own folder: it is unsafe and "
            "was not opened"
        )


def _read_meta(root: Path, kind: Kind) -> dict[str, Any]:
    """Read the metadata of a pack."""
    if not (root / META).is_file():
        raise FileNotFoundError(
            f"{root} has no {META}: it is not a packed model. An experiment is read by "
            f"{kind.files[0]}=FOLDER/CHECKPOINT.pth"
        )
    meta = read_yaml(root / META)
    named = {}
    for group in ("files", "yaml_files"):
        names = meta.setdefault(group, {})
        if not isinstance(names, dict) or not all(
            isinstance(word, str) for pair in names.items() for word in pair
        ):
            raise ValueError(f"{root / META}: {group} is not names of files: {names!r}")
        names.pop(LOAD_BY, None)
        named.update(names)
    needed = {kind.files[0], kind.yaml_files[0]}
    if not needed <= set(named) <= {*kind.files, *kind.yaml_files}:
        other = STUDENT if kind is TRANSLATION else TRANSLATION
        names = ", ".join(sorted(named)) or "no files"
        raise ValueError(
            f"{root / META} names {names}; {kind.name} "
            f"has {kind.yaml_files[0]} and {kind.files[0]}. {other.name.capitalize()} "
            f"is opened by {other.opener}.from_pretrained"
        )
    for name in named.values():
        _check_inside(root, name)
        # Files on the hub are links, their folders are not.
        if not (root / name).parent.resolve().is_relative_to(root.resolve()):
            raise ValueError(f"{root}: the folder of {name} is a link out of the pack")
        if not (root / name).is_file():
            raise FileNotFoundError(f"{root}: {META} names {name}, which is missing")
    return meta


def _check_own_version(tag: Path | str, meta: dict[str, Any]) -> None:
    theirs, ours = str(meta.get("espnet_samu", "")), espnet_samu.__version__
    if _major(theirs) not in ("", _major(ours)):
        raise ValueError(
            f"{tag} was packed with espnet_samu {theirs}, but this is {ours}; install "
            f"a version {_major(theirs)}.x"
        )


def _major(version: str) -> str:
    """Return the major version: 1 of 1.2.3, the year of ESPnet's 202611."""
    first = version.partition(".")[0]
    return first[:4] if len(first) == 6 else first


def _arguments(
    root: Path, meta: dict[str, Any], kind: Kind
) -> dict[str, str | Configuration]:
    """Return the files of a pack, the model's configuration with local paths."""
    files: dict[str, str | Configuration] = {
        key: str(root / name) for key, name in meta["files"].items()
    }
    for key, name in meta["yaml_files"].items():
        config = read_yaml(root / name)
        path = root / name
        _check_code(config, path, kind)
        resolved = map_strings(lambda value: _resolve(value, root), config)
        if config.get("frontend") == "s3prl":
            # s3prl takes what is in its folder for its own downloads.
            resolved["frontend_conf"].pop("download_dir", None)
        # ESPnet reads a language model's itself; it names no file that is read.
        is_model = key == kind.yaml_files[0]
        files[key] = Configuration(path, resolved) if is_model else str(path)
    return files


def _resolve(value: str, root: Path) -> str:
    """Return a pack path as a local path; other values unchanged."""
    if "/" not in value or ".." in value or value.startswith("/") or "\0" in value:
        return value
    return str(root / value) if len(value) < 1024 and (root / value).exists() else value


def _check_code(config: dict[str, Any], path: Path, kind: Kind) -> None:
    """Raise an error for a configuration that would unpickle or evaluate files.

    Upstreams of s3prl do so with a checkpoint and its settings, ESPnet's encoders of
    fairseq with theirs.
    """
    found = None
    if config.get("frontend") == "s3prl":
        conf = config.setdefault("frontend_conf", {})
        upstream = conf.get("frontend_conf") if isinstance(conf, dict) else None
        if not isinstance(upstream, dict):
            raise ValueError(f"{path}: frontend s3prl has no upstream")
        options = [name for name in ("path_or_url", "extra_conf") if upstream.get(name)]
        if options:
            found = f"frontend: s3prl with {options[0]}: {upstream[options[0]]}"
    if config.get("encoder") in _UNPICKLING:
        found = f"encoder: {config['encoder']}"
    if found is not None:
        raise ValueError(
            f"{path}: {found} would run code of that file, and is not loaded from a "
            f"pack. If you trust who made it, unpack it, and give {kind.opener} "
            f"{kind.yaml_files[0]} and {kind.files[0]}"
        )
