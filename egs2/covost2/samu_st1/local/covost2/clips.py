"""The sound files of clips: which can be used, and as what."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path

from covost2.validated import stem

from espnet_samu.data.audio import AudioFault, AudioStore


class ClipStore(AudioStore):
    """Converted clips of a language, called as Common Voice calls them."""

    def output(self, path: str) -> Path:
        """Return where a clip is written."""
        return self.folder / f"{stem(os.path.basename(path))}.flac"


class Clips:
    """Sound files of Common Voice.

    Args:
        mode: What is done about a clip that a set asks for, once for all sets:
            ``convert``: decoded, checked, and written as FLAC of 16 kHz and one
            channel, which ESPnet's stage 3 then takes as it is; ``stat``: only its size
            is looked at, and sets name the mp3 file.
        output: Folder of the converted clips.
        jobs: Threads.

    Raises:
        ValueError: No such mode.
    """

    def __init__(self, mode: str, output: Path, jobs: int = 1) -> None:
        AudioStore(output, mode)  # checks the mode
        self.mode = mode
        self.output = output
        self.jobs = jobs
        self._known: dict[tuple[Path, str], str | None] = {}
        self._absolute: dict[Path, str] = {}

    def path(self, folder: Path, name: str) -> str:
        """Return what wav.scp says of a clip.

        Args:
            folder: Common Voice's folder of the language.
            name: File name of the clip.
        """
        # Called for every utterance of every set: no Path objects here.
        if self.mode == "convert":
            return f"{self.output}/{folder.name}/{stem(name)}.flac"
        return self._source(folder, name)

    def _source(self, folder: Path, name: str) -> str:
        if folder not in self._absolute:
            self._absolute[folder] = os.path.abspath(folder / "clips")
        return f"{self._absolute[folder]}/{name}"

    def faults(self, folder: Path, names: Iterable[str]) -> dict[str, str]:
        """Find the clips that cannot be used.

        Args:
            folder: Common Voice's folder of the language.
            names: File names of clips.

        Returns:
            Why, by file name.
        """
        names = list(names)
        new = [n for n in dict.fromkeys(names) if (folder, n) not in self._known]
        if new:
            logging.info(f"{folder}: {len(new)} clips ({self.mode})")
            store = ClipStore(self.output / folder.name, self.mode, self.jobs, False)
            found = store.add(self._source(folder, name) for name in new)
            for name in new:
                result = found[self._source(folder, name)]
                fault = result.reason if isinstance(result, AudioFault) else None
                self._known[folder, name] = fault
        known = ((name, self._known[folder, name]) for name in names)
        return {name: fault for name, fault in known if fault is not None}
