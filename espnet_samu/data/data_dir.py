"""A Kaldi data directory in memory, written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from espnet_samu.utils.atomic import AtomicFolder

MAKER = "the data preparation of espnet_samu"


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
        ValueError: ``output`` holds an input or something else.
    """
    # Commands have no folder: "ffmpeg -i FILE ... |".
    folders = {os.path.dirname(wav) for wav in data.wavs.values() if wav[-1:] != "|"}
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
