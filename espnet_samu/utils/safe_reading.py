"""Reading of files that others wrote: bounded zip files and YAML, sums."""

import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import yaml

# Weights hardly become smaller (by 1.1), token lists and configurations by 10.
MOST_TIMES = 10
ALWAYS = 2**28
"""Bytes that may come out of any file."""


_POINTER = b"version https://git-lfs."
_POINTER_SIZE = 1024
"""Bytes that a pointer has at most."""


def is_pointer(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is what git has in the place of a large file."""
    try:
        if os.path.getsize(path) > _POINTER_SIZE:
            return False
        with open(path, "rb") as file:
            return file.read(len(_POINTER)) == _POINTER
    except OSError:  # missing, or a folder
        return False


def check_no_pointer(path: str | os.PathLike[str]) -> None:
    """Raise an error for a file that git-lfs has not fetched.

    Raises:
        ValueError: Names the command that fetches it.
    """
    if is_pointer(path):
        raise ValueError(
            f"{path} is only a pointer of git-lfs, not the file; run: git lfs pull"
        )


def check_zip_size(path: str | os.PathLike[str]) -> int:
    """Raise an error for a zip file that would unpack to far more than its size.

    Python and torch read no more of a member than its header says.

    Args:
        path: Any file.

    Returns:
        Bytes when unpacked; 0 if it is no zip file.

    Raises:
        ValueError: It is one of a few MB that would fill a disk or the memory, or a
            pointer of git-lfs.
    """
    check_no_pointer(path)
    if not zipfile.is_zipfile(path):
        return 0
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise ValueError(f"{path} is a damaged zip file: {error}") from error
    packed = os.path.getsize(path)
    if total > max(ALWAYS, MOST_TIMES * packed):
        raise ValueError(
            f"{path} has {packed / 1e6:.1f} MB, but would become {total / 1e6:.0f} MB "
            "when unpacked: it is not a model, and was not unpacked"
        )
    return total


def describe_damage(error: Exception) -> str:
    """Return in one line why a library could not read the content of a file.

    Raises:
        OSError: The error itself where it names the file, which is missing then, or may
            not be read. Of a file that was cut, torch says `Invalid argument` and no
            name.
    """
    if isinstance(error, OSError) and error.filename is not None:
        raise error
    return (str(error.__cause__ or error).splitlines() or [type(error).__name__])[0]


# Ten times as fast, where PyYAML was built with libyaml.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
MOST_LEVELS = 100
MOST_REPEATED = 100_000
"""Values that aliases (``*name``) may repeat."""


def read_yaml(path: Path | str) -> dict[str, Any]:
    """Read a configuration.

    Raises:
        ValueError: It is no YAML file of options and values, or a small file that
            stands for a large one, or a pointer of git-lfs; names the file.
    """
    check_no_pointer(path)
    try:
        text = Path(path).read_text(encoding="utf-8")
        _check_growth(text)
        content = yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} is not a YAML file: {reason}") from error
    if not isinstance(content, dict):
        kind = "empty" if content is None else f"a {type(content).__name__}"
        raise ValueError(f"{path} is not a configuration (`option: value`) but {kind}")
    return content


def read_json(path: Path | str) -> Any:
    """Read a JSON file of a published model.

    Raises:
        ValueError: It is none, or damaged, or a pointer of git-lfs; names the file.
    """
    check_no_pointer(path)
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged, or is no JSON file: {error}") from error


class Configuration(dict[str, Any]):
    """Content of a config.yaml, and the file that it was read from.

    Args:
        path: The file.
        content: What differs from the file, e.g. in its paths; None: it is read.

    Raises:
        ValueError: As for :func:`read_yaml`.
    """

    def __init__(self, path: Path | str, content: dict[str, Any] | None = None):
        super().__init__(read_yaml(path) if content is None else content)
        self.path = Path(path)

    @classmethod
    def of(cls, source: "Configuration | Path | str") -> "Configuration":
        """Read a file, unless that is done."""
        return source if isinstance(source, Configuration) else cls(source)


def _check_growth(text: str) -> None:
    """Raise an error for excessive or recursive aliases, and deep nesting.

    Ten lists of ten aliases of each other are 10^10 values; 10^5 brackets overflow
    libyaml's stack.

    Raises:
        ValueError: Says what there is too much of.
    """
    values = repeated = 0
    sizes: dict[str, int] = {}  # values of what has a name
    parents: list[tuple[str | None, int]] = []
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            parents.append((event.anchor, values + repeated))
            if len(parents) > MOST_LEVELS:
                raise ValueError(f"more than {MOST_LEVELS} levels of nesting")
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = parents.pop()
            if anchor is not None:
                sizes[anchor] = values + repeated - before
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise ValueError(f"alias *{event.anchor} names nothing before it")
            repeated += sizes[event.anchor]
            if repeated > MOST_REPEATED:
                raise ValueError(f"aliases repeat more than {MOST_REPEATED} values")
        elif isinstance(event, yaml.ScalarEvent):
            values += 1
            if event.anchor is not None:
                sizes[event.anchor] = 1


def dump_yaml(content: dict[str, Any]) -> str:
    """Return a configuration as YAML."""
    return yaml.dump(content, Dumper=_Dumper, allow_unicode=True, sort_keys=True)


def decoder_of(path: Path | str) -> str | None:
    """Read ``decoder`` from a config.yaml without its token lists.

    Raises:
        ValueError: It says nothing, as every configuration of a trained model does.
    """
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.startswith("decoder:"):
                return yaml.safe_load(line)["decoder"]
    raise ValueError(
        f"{path} is not the config.yaml of a translation model: no `decoder:`"
    )


def map_strings(function, value: Any) -> Any:
    """Apply a function to all strings of a configuration but token lists."""
    if isinstance(value, dict):
        return {
            k: v if str(k).endswith("token_list") else map_strings(function, v)
            for k, v in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [map_strings(function, v) for v in value]
    return function(value) if isinstance(value, str) else value


def hash_file(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()
