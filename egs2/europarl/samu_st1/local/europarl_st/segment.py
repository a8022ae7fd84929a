"""A sentence of a speech, and its translation."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from pathlib import Path

LONGEST = 40  # characters of a speaker
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
    def direction(self) -> str:
        """Languages, ``de-en``."""
        return f"{self.src}-{self.tgt}"

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

        Only so do utterances, ``<speaker>-...``, sort as their speakers do. A name
        that has to be changed gets a checksum, lest two names become one; so does a
        long one, since files are named after utterances.
        """
        name = self.speaker or self.recording
        if len(name) <= LONGEST and not UNSAFE.search(name.replace("_", "")):
            return name
        return f"{UNSAFE.sub('_', name)[:LONGEST]}_{zlib.crc32(name.encode()):08x}"

    @property
    def utterance(self) -> str:
        """Utterance id without the target language.

        Segments of one recording stay together when sorted: ESPnet's stage 3 then
        decodes it once in a job and keeps no other in memory.
        """
        return f"{self.speaker_id}-{self.recording}-{self.start:08d}_{self.end:08d}"

    def lst(self, root: Path) -> Path:
        """The file that it comes from."""
        return root / self.src / self.tgt / self.split / "segments.lst"
