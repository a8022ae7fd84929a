"""Reading of a manifest: lines, unique ids, and recordings that can be used."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import batched
from pathlib import Path

from espnet_samu.corpora.audio import MISSING, AudioFault, outside
from espnet_samu.corpora.audio_store import AudioStore, Recording
from espnet_samu.corpora.counts import CorpusError, ManifestErrors
from espnet_samu.corpora.data_dir import DataDir, PackedDataDir
from espnet_samu.corpora.manifest_fields import (
    ManifestFields,
    ManifestOptions,
    Mistake,
)
from espnet_samu.corpora.utterance import Utterance
from espnet_samu.utils.safe_reading import is_pointer

_TEXT = "save the table as text in UTF-8, with tabs between the fields"
_KINDS = {
    b"PK": ("a spreadsheet or another archive", _TEXT),
    b"\xff\xfe": ("UTF-16, as Excel's Unicode text", "save it as UTF-8"),
    b"\xfe\xff": ("UTF-16", "save it as UTF-8"),
}
"""What other files begin with: what they are, and what to do about it."""
_AT_ONCE = 100_000  # utterances whose recordings are looked at; a limit to memory


def utf8(line: bytes) -> bool:
    """Return whether a line is UTF-8."""
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


class ManifestReader:
    """Reads and checks one manifest.

    Args:
        path: TSV with a header line.
        options: What must be there.
        audio: Where recordings are looked at.
        drop_faulty: Leave out utterances whose audio cannot be used; otherwise they
            are mistakes.
    """

    def __init__(
        self,
        path: Path,
        options: ManifestOptions,
        audio: AudioStore,
        drop_faulty: bool = False,
    ) -> None:
        self.path = path
        self.audio = audio
        self.drop_faulty = drop_faulty
        self.line = 1
        self.fields = ManifestFields(options, path.parent, audio.mode == "stat")
        self.data = PackedDataDir(options.transcripts, options.translations)
        self.mistakes: list[CorpusError] = []
        self.dropped: list[tuple[int, str, AudioFault]] = []
        """Line, utterance id and reason of each utterance that was left out."""
        self.renamed: dict[str, tuple[str, str]] = {}
        """Speaker and id in the manifest of utterances whose ids cannot be used."""
        self.seconds = 0.0
        """Speech of what is left, where recordings are decoded."""
        self.languages: Counter[str] = Counter()
        """Utterances that are left, by language."""
        self.target_languages: Counter[str] = Counter()
        """The same by language of the translation."""
        self._cut = False

    def error(self, problem: str, mend: str, line: int = 0) -> CorpusError:
        """Make an error that points at a line; default is the one being read."""
        return CorpusError(self.path, line or self.line, problem, mend)

    def read(self) -> DataDir:
        """Read the whole manifest, and check its recordings.

        Returns:
            What to write.

        Raises:
            CorpusError: It cannot be read any further.
            ManifestErrors: All mistakes.
        """
        for values in self._lines():
            try:
                self._take(values)
            except Mistake as e:
                self.mistakes.append(self.error(e.problem, e.mend))
        if not self.data and not self.mistakes:
            raise self.error("the manifest is empty", "add a line for each utterance")
        self._look()
        if not self.mistakes and not self.data:
            raise self.error(
                f"no utterance is left: all {len(self.dropped)} were left out",
                "see what is wrong with their audio (without --drop_faulty)",
            )
        if not self.mistakes:
            self._check_sorting()
        if self.mistakes:
            raise ManifestErrors(self.path, self.mistakes)
        return self.data

    def _lines(self) -> Iterator[list[str]]:
        """Yield the fields of each line behind the header."""
        if is_pointer(self.path):
            raise self.error("only a pointer of git-lfs", "run: git lfs pull")
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as stream:
                rows = csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
                self.fields.read_header(next(rows, []))
                for values in rows:
                    self.line = rows.line_num
                    if values:
                        yield values
        except Mistake as e:
            raise self.error(e.problem, e.mend) from None
        except FileNotFoundError:
            raise self.error("no such manifest", "correct the path") from None
        except UnicodeDecodeError as e:
            # Decoding runs ahead of the lines: look for the line again.
            with self.path.open("rb") as lines:
                self.line = next(n for n, line in enumerate(lines, 1) if not utf8(line))
                lines.seek(0)
                kind, mend = _KINDS.get(lines.read(2), (e.reason, "save it as UTF-8"))
            raise self.error(f"not UTF-8 ({kind})", mend) from None
        except csv.Error as e:
            self.line += 1
            raise self.error(str(e), "mend the line") from None

    def _take(self, values: list[str]) -> None:
        """Add the utterance of a line.

        Raises:
            Mistake: It cannot be used.
        """
        row, utterance = self.fields.read_line(values)
        utt = utterance.id
        if utt in self.data:
            raise Mistake(
                f"duplicate id '{row['id']}' (also in line {self.data[utt].line})",
                "make the ids unique",
            )
        if self.data and bool(utterance.recording) != self._cut:
            raise Mistake(
                "some lines have start and end, some have none",
                "give the times of all or of none",
            )
        self._cut = bool(utterance.recording)
        speaker = row.get("speaker", "")
        if utt not in (row["id"], f"{speaker}-{row['id']}"):
            self.renamed[utt] = speaker, row["id"]
        self.data.add(utterance._replace(line=self.line))

    def _look(self) -> None:
        """Check the recordings; note or drop utterances that cannot be used."""
        faulty: dict[str, tuple[AudioFault, list[int]]] = {}  # path -> lines
        for utts in batched(list(self.data), _AT_ONCE):
            found = self.audio.add(self.data[utt].audio for utt in utts)
            for utterance in map(self.data.__getitem__, utts):
                recording = found[utterance.audio]
                result = self._checked(utterance, recording)
                if isinstance(result, Recording):
                    self._keep(utterance, result)
                elif self.drop_faulty:
                    self.dropped.append((utterance.line, utterance.id, result))
                    self.data.remove(utterance.id)
                elif result is recording:
                    _, lines = faulty.setdefault(utterance.audio, (result, []))
                    lines.append(utterance.line)
                else:
                    mend = "give seconds inside it, such as 1.25"
                    self.mistakes.append(self.error(str(result), mend, utterance.line))
        for path, (fault, lines) in faulty.items():
            self.mistakes.append(self._audio_error(path, fault, lines))

    @staticmethod
    def _checked(
        utterance: Utterance, recording: Recording | AudioFault
    ) -> Recording | AudioFault:
        """Return the recording, or why the utterance is not in it."""
        if isinstance(recording, AudioFault):
            return recording
        if not utterance.recording or recording.seconds is None:
            return recording
        times = float(utterance.start), float(utterance.end)
        return outside(*times, recording.seconds) or recording

    def _keep(self, utterance: Utterance, recording: Recording) -> None:
        """Name the file that was written of the audio, and count what is kept."""
        if recording.path != utterance.audio:
            self.data.add(utterance._replace(audio=recording.path))
        self.languages[utterance.language] += 1
        if utterance.target_language:
            self.target_languages[utterance.target_language] += 1
        if utterance.recording:
            self.seconds += float(utterance.end) - float(utterance.start)
        else:
            self.seconds += recording.seconds or 0

    def _audio_error(
        self, path: str, fault: AudioFault, lines: Sequence[int]
    ) -> CorpusError:
        """Make an error of a recording, at the first line that names it."""
        mend = "correct the path (relative to the manifest)"
        problem = f"audio file missing: {path}"
        if fault.reason != MISSING:
            problem, mend = f"{path}: {fault}", "replace the file"
        mend += ", or leave such lines out: --drop_faulty true"
        if len(lines) > 1:
            problem += f" ({len(lines)} lines name it)"
        return self.error(problem, mend, lines[0])

    def _check_sorting(self) -> None:
        """Refuse speaker ids that sort otherwise than their utterances."""
        last = ""
        for utterance in map(self.data.__getitem__, sorted(self.data)):
            if utterance.speaker < last:
                mistake = self.error(
                    f"speakers '{utterance.speaker}' and '{last}' get mixed by sorting",
                    "rename one so that it does not begin with the other",
                    utterance.line,
                )
                self.mistakes.append(mistake)
                return
            last = utterance.speaker
