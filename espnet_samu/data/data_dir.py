"""A Kaldi data directory in memory, written whole or not at all."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from espnet_samu.utils.atomic import AtomicFolder

MAKER = "the data preparation of espnet_samu"

LONGEST = 128  # characters of an id
SAFE_PATH = re.compile(r"[\w.,+@%=/-]+")
"""What wav.scp may name: ``--speed_perturb_factors`` hands it to a shell."""
_PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,128}")  # by far the most, and fast


def id_fault(value: str) -> str | None:
    """Return why an utterance or speaker id cannot be used, else None.

    ESPnet names files after ids.
    """
    if _PLAIN.fullmatch(value):
        return None
    if not value:
        return "is empty"
    if any(map(str.isspace, value)):
        return "has a space"
    if "/" in value:
        return "has a /"
    if not value.isprintable():
        return "has control characters"
    # A file name has at most 255 bytes, and speed perturbation makes it longer.
    if len(value) > LONGEST or len(value.encode()) > 200:
        return f"is longer than {LONGEST} characters"
    return None


@dataclass
class DataDir:
    """The columns of a data directory.

    Attributes:
        wavs: Recording id -> absolute path.
        files: File name -> utterance id -> value.
        lines: Utterance id -> line of the manifest.
    """

    wavs: dict[str, str] = field(default_factory=dict)
    files: dict[str, dict[str, str]] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)

    def put(self, file: str, utt: str, value: str) -> None:
        """Add a line to a file."""
        self.files.setdefault(file, {})[utt] = value


def write_data_dir(data: DataDir, output: Path, inputs: Iterable[Path] = ()) -> None:
    """Write a data directory, whole or not at all.

    Args:
        data: What to write.
        output: Replaced as a whole if it was written by this function.
        inputs: Files that it was made of, beside the recordings.

    Raises:
        ValueError: ``output`` holds an input or something else; an id or a path cannot
            be used.
    """
    for utt, speaker in data.files["utt2spk"].items():
        for value in {utt, speaker}:
            fault = id_fault(value)
            if fault is not None:
                raise ValueError(f"{output}: the id {value!r} {fault}")
    for path in data.wavs.values():
        if not SAFE_PATH.fullmatch(path):
            raise ValueError(
                f"{output}: {path!r} has a blank or a character that a shell takes for "
                "its own; rename it"
            )
    folders = {os.path.dirname(path) for path in data.wavs.values()}
    replaced = AtomicFolder(output, MAKER, [*inputs, *folders])
    by_speaker: dict[str, list[str]] = {}
    for utt, speaker in sorted(data.files["utt2spk"].items()):
        by_speaker.setdefault(speaker, []).append(utt)
    spk2utt = {speaker: " ".join(utts) for speaker, utts in by_speaker.items()}
    with replaced as folder:
        files = {**data.files, "wav.scp": data.wavs, "spk2utt": spk2utt}
        for name, values in files.items():
            # Code points sort as UTF-8 bytes do: this is LC_ALL=C.
            with (folder / name).open("w", encoding="utf-8", newline="\n") as out:
                out.writelines(f"{key} {values[key]}\n" for key in sorted(values))
