"""The recordings of the interventions: where they are, and how long."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from europarl_st.corpus_error import CorpusError
from europarl_st.segment import Segment

from espnet_samu.data.audio import (
    CUT,
    EMPTY,
    MISSING,
    RATE,
    UNDECODABLE,
    AudioFault,
    AudioStore,
)

# Of several files of a speech the first is taken.
SUFFIXES = (".flac", ".wav", ".ogg", ".m4a")
DAMAGED = (CUT, EMPTY, MISSING, UNDECODABLE)  # what another copy of the file mends
MOST = 20  # faults that are listed


class Recordings:
    """The audio of the speeches that are needed.

    libsndfile, with which ESPnet's stage 3 reads, knows no AAC. So each recording is
    decoded once, for all sets and scenarios, and written as FLAC of 16 kHz and one
    channel, out of which stage 3 cuts the segments. A recording that is that already
    is named as it is.

    Args:
        root: The folder that holds ``<src>/audios``.
        audio: Where recordings are decoded.
    """

    def __init__(self, root: Path, audio: AudioStore) -> None:
        self.root = root
        self.audio = audio
        self.milliseconds: dict[str, int] = {}
        self.entries: dict[str, str] = {}
        self.faults: dict[str, str] = {}
        """Reason by recording that cannot be used; the other two lack it."""

    def find(self, segments: Iterable[Segment]) -> None:
        """Find the recordings of segments, which fills the three tables.

        Raises:
            CorpusError: Speeches without audio, or audio that is damaged.
        """
        paths: dict[str, str] = {}
        missing: dict[str, Segment] = {}
        listings: dict[str, set[str]] = {}
        for segment in segments:
            if segment.recording in paths or segment.recording in missing:
                continue
            folder = self.root / segment.src / "audios"
            if segment.src not in listings:
                found = folder.iterdir() if folder.is_dir() else ()
                listings[segment.src] = {path.name for path in found}
            for suffix in SUFFIXES:
                if f"{segment.speech}{suffix}" in listings[segment.src]:
                    name = f"{segment.speech}{suffix}"
                    paths[segment.recording] = str((folder / name).absolute())
                    break
            else:
                missing[segment.recording] = segment
        if missing:
            first = next(iter(missing.values()))
            more = f" ({len(missing)} speeches have none)" if len(missing) > 1 else ""
            raise CorpusError(
                first.lst(self.root),
                first.line,
                f"no audio: {first.src}/audios/{first.speech}.m4a is missing{more}",
                f"unpack it, or put a {', '.join(SUFFIXES[:-1])} there",
            )
        self._look(paths)

    def _look(self, paths: dict[str, str]) -> None:
        """Decode the recordings that are new, and take over what was found."""
        found = self.audio.add(paths.values())
        damaged = []
        for recording, path in paths.items():
            result = found[path]
            if not isinstance(result, AudioFault):
                self.milliseconds[recording] = result.samples * 1000 // RATE
                self.entries[recording] = result.path
            elif result.reason in DAMAGED:
                damaged.append(f"{path}: {result}")
            else:
                self.faults[recording] = result.reason
        if damaged:
            listed = "\n    ".join(damaged[:MOST])
            more = f"\n    and {len(damaged) - MOST} more" if damaged[MOST:] else ""
            raise ValueError(
                f"{len(damaged)} of {len(paths)} recordings are damaged; unpack them "
                f"again:\n    {listed}{more}"
            )
