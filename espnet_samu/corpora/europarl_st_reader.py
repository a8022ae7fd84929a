"""Europarl-ST's splits and recordings: read and checked."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from espnet_samu.corpora.audio import CUT, EMPTY, MISSING, UNDECODABLE, AudioFault
from espnet_samu.corpora.audio_store import AudioStore
from espnet_samu.corpora.counts import CorpusError, listed
from espnet_samu.corpora.utterance import clean_text
from espnet_samu.utils.waveform import SAMPLING_RATE

LONGEST_SPEAKER = 40  # characters of a speaker
UNSAFE = re.compile(r"[^0-9A-Za-z]")


@dataclass(frozen=True, slots=True)
class Segment:
    """A line of ``<src>/<tgt>/<split>/segments.lst`` with what stands beside it.

    Attributes:
        src: Language spoken.
        tgt: Language of the translation.
        split: train, train-noisy, dev or test.
        line: Line number, from 1.
        speech: Id of the intervention, the stem of its audio file.
        speaker: As ``speakers.lst`` has it; empty if it does not say.
        start: Milliseconds from the beginning of the audio.
        end: Milliseconds from the beginning of the audio.
        transcript: What is said.
        translation: In the target language.
        audio: Start and end of what is cut out, in milliseconds; None: as it stands.
    """

    src: str
    tgt: str
    split: str
    line: int
    speech: str
    speaker: str
    start: int
    end: int
    transcript: str
    translation: str
    audio: tuple[int, int] | None = None

    @property
    def recording(self) -> str:
        """Id of the recording; the same speech id may stand in two languages."""
        return f"{self.src}_{self.speech}"

    @property
    def times(self) -> tuple[str, int, int]:
        """What makes two lines the same piece of audio."""
        return self.recording, self.start, self.end

    @property
    def speaker_id(self) -> str:
        """Speaker in letters, digits and underscores.

        Utterances, ``<speaker>-...``, then sort as their speakers do. A name
        that has to be changed gets a checksum, so that two names stay two; so does a
        long one, since files are named after utterances.
        """
        name = self.speaker or self.recording
        if len(name) <= LONGEST_SPEAKER and not UNSAFE.search(name.replace("_", "")):
            return name
        return (
            f"{UNSAFE.sub('_', name)[:LONGEST_SPEAKER]}_{zlib.crc32(name.encode()):08x}"
        )

    @property
    def utterance(self) -> str:
        """Utterance id without the target language.

        Segments of one recording stay together when sorted: ESPnet's stage 3 then
        decodes it once in a job and keeps no other in memory.
        """
        return f"{self.speaker_id}-{self.recording}-{self.start:08d}_{self.end:08d}"

    @property
    def piece(self) -> str:
        """Speech, start and end in seconds."""
        return f"{self.speech} {self.start / 1000:.3f} {self.end / 1000:.3f}"

    def place(self, root: Path) -> tuple[Path, int]:
        """The file that it comes from, and the line."""
        return root / self.src / self.tgt / self.split / "segments.lst", self.line


# Line ends of other systems and control characters, which would break Kaldi's lines.
# Other blanks, such as the no-break space of French, are part of the reference.
BREAKS = re.compile("[\t\r\v\f\x1c-\x1f\x85\u2028\u2029]+")
SPEECH = re.compile(r"[A-Za-z0-9_.,+@%=-]{1,40}")  # part of utterance ids
LATEST = 1e6  # seconds
UNPACK = "unpack the corpus again"


class SplitReader:
    """Reads ``<root>/<src>/<tgt>/<split>``.

    Args:
        root: The folder that holds ``<src>/audios``.
        src: Language spoken.
        tgt: Language of the translations.
        split: train, train-noisy, dev or test.
    """

    def __init__(self, root: Path, src: str, tgt: str, split: str) -> None:
        self.src, self.tgt, self.split = src, tgt, split
        self.folder = root / src / tgt / split

    def read(self) -> list[Segment]:
        """Read the split, faulty times and empty texts included.

        Raises:
            CorpusError: A file is missing or malformed, or files are not aligned.
        """
        path = self.folder / "segments.lst"
        lines = self._lines(path.name)
        transcripts = self._texts(f"segments.{self.src}", len(lines), path.name)
        translations = self._texts(f"segments.{self.tgt}", len(lines), path.name)
        speakers = self.speakers()
        segments = []
        for number, line in enumerate(lines, 1):
            speech, start, end = self._fields(path, number, line)
            if speech not in speakers:
                raise CorpusError(
                    path, number, f"speech '{speech}' is not in speeches.lst", UNPACK
                )
            segments.append(
                Segment(
                    self.src,
                    self.tgt,
                    self.split,
                    number,
                    speech,
                    speakers[speech],
                    start,
                    end,
                    clean_text(transcripts[number - 1]),
                    clean_text(translations[number - 1]),
                )
            )
        return segments

    def speakers(self) -> dict[str, str]:
        """Speaker of each speech of the split, in the order of ``speeches.lst``.

        Raises:
            CorpusError: The two lists are not aligned, or a speech has two speakers.
        """
        path = self.folder / "speeches.lst"
        speeches = self._lines(path.name)
        names = self._texts("speakers.lst", len(speeches), path.name)
        speakers: dict[str, str] = {}
        for number, (speech, name) in enumerate(zip(speeches, names), 1):
            if not SPEECH.fullmatch(speech):
                raise CorpusError(path, number, f"'{speech}' is no speech id", UNPACK)
            if speakers.setdefault(speech, name) != name:
                problem = f"speech '{speech}' has two speakers"
                raise CorpusError(path, number, problem, UNPACK)
        return speakers

    def _lines(self, name: str) -> list[str]:
        """Lines of a file without blanks around them."""
        path = self.folder / name
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise CorpusError(path, 1, "no such file", UNPACK) from None
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as e:
            line = content.count(b"\n", 0, e.start) + 1
            raise CorpusError(path, line, f"not UTF-8 ({e.reason})", UNPACK) from None
        lines = text.split("\n")
        if not lines[-1]:
            lines.pop()
        return [BREAKS.sub(" ", line).strip() for line in lines]

    def _texts(self, name: str, expected: int, aligned_with: str) -> list[str]:
        """Lines of a file that is aligned with another."""
        lines = self._lines(name)
        if len(lines) != expected:
            raise CorpusError(
                self.folder / name,
                min(len(lines), expected) + 1,
                f"{len(lines)} lines, but {aligned_with} beside it has {expected}",
                UNPACK,
            )
        return lines

    @staticmethod
    def _fields(path: Path, number: int, line: str) -> tuple[str, int, int]:
        """Speech id, start and end in milliseconds."""
        fields = line.split()
        times = [math.nan]
        if len(fields) == 3:
            try:
                times = [float(field) for field in fields[1:]]
            except ValueError:
                pass
        if not all(abs(time) < LATEST for time in times):
            problem = f"'{line}' is not: speech, start and end in seconds"
            raise CorpusError(path, number, problem, UNPACK)
        start, end = (round(time * 1000) for time in times)
        return fields[0], start, end


# Of several files of a speech the first is taken.
SUFFIXES = (".flac", ".wav", ".ogg", ".m4a")
DAMAGED = (CUT, EMPTY, MISSING, UNDECODABLE)  # what another copy of the file mends


class Recordings:
    """The audio of the speeches that are needed.

    libsndfile, with which ESPnet's stage 3 reads, cannot decode AAC. So each recording
    is decoded once, for all sets and scenarios, and written as FLAC of 16 kHz and one
    channel, out of which stage 3 cuts the segments. One that has this format already is
    used as it is.

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
                *first.place(self.root),
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
                assert result.samples is not None  # every recording is decoded
                self.milliseconds[recording] = result.samples * 1000 // SAMPLING_RATE
                self.entries[recording] = result.path
            elif result.reason in DAMAGED:
                damaged.append(f"{path}: {result}")
            else:
                self.faults[recording] = result.reason
        if damaged:
            number = f"{len(damaged)} of {len(paths)}"
            title = f"{number} recordings are damaged; unpack them again:"
            raise ValueError(listed(title, damaged))
