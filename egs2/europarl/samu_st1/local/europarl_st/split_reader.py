"""Read and check one split of one direction."""

from __future__ import annotations

import math
import re
from pathlib import Path

from europarl_st.corpus_error import CorpusError
from europarl_st.segment import Segment

from espnet_samu.text.clean import clean_text

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
