"""Reading of checkpoints that other programs pickled, without running their code.

fairseq pickles its settings (``argparse.Namespace``, ``omegaconf`` objects, its own
dictionaries) beside the weights. ``torch.load(weights_only=True)`` refuses to build
such objects, since that runs code. Here each becomes a :class:`Placeholder`.
"""

import _compat_pickle
import contextlib
import pickletools
import re
import zipfile
from pathlib import Path
from typing import Any

import torch

from espnet_samu.utils.safe_reading import check_zip_size, describe_damage


class Placeholder:
    """Object in place of a pickled one: has its fields, runs none of its code."""

    __slots__ = ("args", "__dict__")
    args: tuple[Any, ...]

    def __new__(cls, *args: Any) -> "Placeholder":
        self = super().__new__(cls)
        self.args = args
        return self

    def __setstate__(self, state: Any) -> None:
        for part in state if isinstance(state, tuple) else (state,):
            if isinstance(part, dict):
                self.__dict__.update(part)


def load_with_placeholders(path: Path | str) -> dict[str, Any]:
    """Read a checkpoint that is a dictionary; its tensors on the CPU.

    Args:
        path: File of ``torch.save``, old (before torch 1.6) or new.

    Returns:
        The dictionary; objects that are neither tensors nor built-in types are
        :class:`Placeholder`, see :func:`to_container`.

    Raises:
        ValueError: The file is larger than its header says, damaged, or not readable
            without running code; with what mends it.
    """
    check_zip_size(path)
    try:
        stand_ins: list[Any] = [(Placeholder, name) for name in _global_names(path)]
        with torch.serialization.safe_globals(stand_ins):
            checkpoint = torch.load(
                path,
                map_location="cpu",
                weights_only=True,
                mmap=zipfile.is_zipfile(path),
            )
    except Exception as error:
        # What unpicklers raise for damaged bytes may be anything.
        reason = describe_damage(error)
        # torch's message is mostly advice.
        match = re.search(r"(Trying to|Unsupported|Can only).*", str(error))
        if match is None:
            raise ValueError(
                f"{path} is damaged, or no file of torch.save ({reason}); get it again"
            ) from error
        raise ValueError(
            f"{path} cannot be read without running code that it names ({match[0]}). "
            "If you trust it, strip it where the "
            "program that wrote it is installed: c = torch.load(FILE, "
            'weights_only=False); torch.save({"model": c["model"]}, NEW_FILE)'
        ) from error
    if not isinstance(checkpoint, dict):
        raise ValueError(f"{path} is not a dictionary but {type(checkpoint).__name__}")
    return checkpoint


def to_container(value: Any) -> Any:
    """Return settings as dictionaries, lists, numbers and strings.

    Args:
        value: Of :func:`load_with_placeholders`. A namespace becomes a dictionary;
            omegaconf nodes and enumerations become the values in them.
    """
    if isinstance(value, Placeholder):
        fields = vars(value)
        for holder in ("_content", "_val"):
            if holder in fields:
                return to_container(fields[holder])
        if fields:
            return to_container(fields)
        return to_container(value.args[0]) if len(value.args) == 1 else None
    if isinstance(value, dict):
        return {key: to_container(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_container(item) for item in value]
    return value


def _global_names(path: Path | str) -> set[str]:
    """Return the classes and functions that a checkpoint names, as ``module.name``."""
    names = set()
    with contextlib.ExitStack() as stack:
        if zipfile.is_zipfile(path):
            archive = stack.enter_context(zipfile.ZipFile(path))
            inside = [n for n in archive.namelist() if n.endswith("/data.pkl")]
            file, pickles = stack.enter_context(archive.open(inside[0])), 1
        else:
            # Magic number, version, system, object; then the tensors' bytes.
            file, pickles = stack.enter_context(open(path, "rb")), 4
        for _ in range(pickles):
            for operation, argument, _ in pickletools.genops(file):
                if operation.name == "GLOBAL":
                    names.add(_python3_name(*str(argument).split(" ", 1)))
    return names


def _python3_name(module: str, name: str) -> str:
    """Return a class name of Python 3; torch.save writes those of Python 2."""
    module, name = _compat_pickle.NAME_MAPPING.get(
        (module, name), (_compat_pickle.IMPORT_MAPPING.get(module, module), name)
    )
    return f"{module}.{name}"
