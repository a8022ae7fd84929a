"""Read and check the manifest of a user's own corpus."""

from __future__ import annotations

import csv
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from operator import ne
from pathlib import Path

from espnet_samu.corpora.audio import MISSING, AudioFault, outside
from espnet_samu.corpora.audio_store import AudioStore
from espnet_samu.corpora.data_dir import SAFE_PATH, DataDir
from espnet_samu.corpora.faults import ManifestError, ManifestErrors
from espnet_samu.corpora.text import clean_text, csv_unquote
from espnet_samu.corpora.utterance import LONGEST, Utterance, id_fault


@dataclass(frozen=True)
class ManifestOptions:
    """What a manifest must hold and how its output is named.

    Attributes:
        src_lang: Suffix of the transcripts: ``text.<src_case>.<src_lang>``.
        tgt_lang: Suffix of the translations: ``text.<tgt_case>.<tgt_lang>``.
        src_case: Case tag of the transcripts.
        tgt_case: Case tag of the translations.
        langs: Source languages allowed; empty: any code that looks like ISO 639.
        samu: Transcribed speech for distillation: translations are neither needed
            nor written.
        use_src_lang: False: transcripts are neither needed nor written.
    """

    src_lang: str = "multi"
    tgt_lang: str = "en"
    src_case: str = "tc"
    tgt_case: str = "tc"
    langs: tuple[str, ...] = ()
    samu: bool = False
    use_src_lang: bool = True

    def __post_init__(self) -> None:
        if self.samu and not self.use_src_lang:
            raise ValueError("use_src_lang must be true with samu: it learns from them")
        if not self.samu and self.use_src_lang and self.src_name == self.tgt_name:
            raise ValueError(f"transcripts and translations would be {self.src_name}")

    @property
    def src_name(self) -> str:
        """File name of the transcripts."""
        return f"text.{self.src_case}.{self.src_lang}"

    @property
    def tgt_name(self) -> str:
        """File name of the translations."""
        return f"text.{self.tgt_case}.{self.tgt_lang}"


REQUIRED = (
    "id",
    "audio",
    "language",
    "transcript",
    "translation",
    "target_language",
)
OPTIONAL = ("speaker", "start", "end")
# ISO 639-1 or -3, with or without a region or script (zh-CN, sr-Latn).
LANGUAGE = re.compile(r"[a-z]{2,3}(-([A-Z]{2}|[A-Z][a-z]{3}))?")
TIME = re.compile(r"-?([0-9]+(\.[0-9]*)?|\.[0-9]+)")


def utf8(line: bytes) -> bool:
    """Tell whether a line is UTF-8."""
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
        self.options = options
        self.audio = audio
        self.drop_faulty = drop_faulty
        self.line = 1
        self.data = DataDir()
        self.mistakes: list[ManifestError] = []
        self.dropped: list[tuple[int, str, AudioFault]] = []
        """Line, utterance id and reason of each utterance that was left out."""
        self.folders: set[str] = set()
        """Of the recordings."""
        self.unquoted = 0
        """Fields whose CSV quotes were removed."""
        self._all_quoted = False
        self._folder = str(path.parent)
        self._recordings: dict[str, str] = {}  # path -> recording id

    def error(self, problem: str, mend: str, line: int = 0) -> ManifestError:
        """Make an error that points at a line; default is the one being read."""
        return ManifestError(self.path, line or self.line, problem, mend)

    def read(self) -> DataDir:
        """Read the whole manifest, and look at its recordings.

        Returns:
            What to write.

        Raises:
            ManifestError: It cannot be read any further.
            ManifestErrors: All mistakes.
        """
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as stream:
                rows = csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
                columns = self.header(next(rows, []))
                for values in rows:
                    self.line = rows.line_num
                    if not values:
                        continue
                    try:
                        self.row(columns, values)
                    except ManifestError as mistake:
                        self.mistakes.append(mistake)
        except FileNotFoundError:
            raise self.error("no such manifest", "correct the path") from None
        except UnicodeDecodeError as e:
            # Decoding runs ahead of the lines: look for the line again.
            with self.path.open("rb") as lines:
                self.line = next(n for n, line in enumerate(lines, 1) if not utf8(line))
            raise self.error(f"not UTF-8 ({e.reason})", "save it as UTF-8") from None
        except csv.Error as e:
            self.line += 1
            raise self.error(str(e), "mend the line") from None
        if not self.data.lines and not self.mistakes:
            raise self.error("the manifest is empty", "add a line for each utterance")
        self.listen()
        if not self.mistakes and not self.data.lines:
            raise self.error(
                f"no utterance is left: all {len(self.dropped)} were left out",
                "see what is wrong with their audio (without --drop_faulty)",
            )
        if not self.mistakes:
            self.check_sorting()
        if self.mistakes:
            raise ManifestErrors(self.path, self.mistakes)
        return self.data

    def header(self, fields: list[str]) -> list[str]:
        """Check the header line."""
        allowed = f"the header needs {' '.join(REQUIRED)} [{' '.join(OPTIONAL)}]"
        if not fields:
            raise self.error("the manifest is empty", f"{allowed}, tab-separated")
        if len(fields) == 1 and re.search("[,;]", fields[0]):
            raise self.error(
                f"no tab in the header '{fields[0]}'",
                "this looks like CSV: save the table with tabs between the fields",
            )
        columns = [field.strip() for field in fields]
        if all(re.fullmatch('".*"', name) for name in columns):
            self._all_quoted = True
            columns = [name[1:-1] for name in columns]
        names = REQUIRED + OPTIONAL
        for name in columns:
            if name not in names and name.lower() in names:
                raise self.error(f"unknown column '{name}'", f"write '{name.lower()}'")
        missing = [name for name in REQUIRED if name not in columns]
        if missing:
            raise self.error(f"column missing: {' '.join(missing)}", allowed)
        for name in columns:
            if name not in names:
                raise self.error(f"unknown column '{name}'", allowed)
            if columns.count(name) > 1:
                raise self.error(f"column '{name}' comes twice", allowed)
        if ("start" in columns) != ("end" in columns):
            raise self.error("start and end belong together", "add the other column")
        return columns

    def row(self, columns: list[str], values: list[str]) -> None:
        """Check one line and take it over."""
        if len(values) != len(columns):
            mend = "separate the fields by one tab, with no tab inside a field"
            if any(value.count('"') % 2 for value in values):
                mend += ", nor a line break inside quotes"
            raise self.error(
                f"{len(values)} fields, but the header has {len(columns)}", mend
            )
        values = [value.strip() for value in values]
        # CSV writers quote where it is needed; or everywhere, the header included.
        plain = [csv_unquote(value, self._all_quoted) for value in values]
        self.unquoted += sum(map(ne, plain, values))
        row = dict(zip(columns, plain))
        options, data = self.options, self.data
        utt, speaker = self.names(row)
        recording = self.recording(row)
        self.language("language", row["language"], options.langs)
        transcript = translation = target = ""
        if options.use_src_lang:
            transcript = self.text("transcript", row)
        if not options.samu:
            translation = self.text("translation", row)
            target = sys.intern(row["target_language"])
            self.language("target_language", target, ())
        times = self.times(row)
        if data.lines and (times is None) == ("segments" in data.files):
            raise self.error(
                "some lines have start and end, some have none",
                "give the times of all or of none",
            )
        start, end = times or ("", "")
        piece = ""
        if times is not None:
            number = len(self._recordings)
            piece = self._recordings.setdefault(recording, f"recording-{number:07d}")
        utterance = Utterance(
            id=utt,
            speaker=speaker,
            audio=recording,
            language=sys.intern(row["language"]),
            transcript=transcript,
            translation=translation,
            target_language=target,
            recording=piece,
            start=start,
            end=end,
            line=self.line,
        )
        data.add(
            utterance,
            [options.src_name] if options.use_src_lang else [],
            [] if options.samu else [options.tgt_name],
        )

    def names(self, row: dict[str, str]) -> tuple[str, str]:
        """Return utterance and speaker id."""
        utt, speaker = row["id"], row.get("speaker", "")
        if not utt:
            raise self.error("the id is empty", "give every utterance an id")
        # Kaldi's tools need utterances of one speaker together after sorting.
        if speaker and not utt.startswith(f"{speaker}-"):
            utt = f"{speaker}-{utt}"
        for name, value in (("speaker", speaker), ("id", row["id"]), ("id", utt)):
            fault = id_fault(value)
            if fault is not None and value:
                raise self.error(
                    f"{name} '{value}' {fault}",
                    f"files are named after it: use at most {LONGEST} letters, digits "
                    "and - _ . instead",
                )
        if utt in self.data.lines:
            raise self.error(
                f"duplicate id '{row['id']}' (also in line {self.data.lines[utt]})",
                "make the ids unique",
            )
        return utt, sys.intern(speaker) or utt

    def recording(self, row: dict[str, str]) -> str:
        """Return the absolute path of the audio."""
        audio = row["audio"]
        if not audio:
            problem = "transcript without audio" if row["transcript"] else "no audio"
            raise self.error(problem, "name the audio file or remove the line")
        path = os.path.abspath(os.path.join(self._folder, audio))
        if self.audio.mode == "stat" and not SAFE_PATH.fullmatch(path):
            raise self.error(
                f"audio '{path}' has a blank or a character that a shell takes for its "
                "own",
                "rename it, or let --audio convert write it to another place",
            )
        return path

    def listen(self) -> None:
        """Look at the recordings; note or drop utterances that cannot be used."""
        data = self.data
        found = self.audio.add(data.wavs.values())
        self.folders = {os.path.dirname(path) for path in found}
        segments = data.files.get("segments")
        faulty: dict[str, list[str]] = {}  # path -> utterances
        for utt in tuple(data.lines):
            rec, *times = segments[utt].split() if segments else [utt]
            result = found[data.wavs[rec]]
            fault = result if isinstance(result, AudioFault) else None
            if fault is None and times and result.seconds is not None:
                fault = outside(float(times[0]), float(times[1]), result.seconds)
            if fault is None:
                continue
            if self.drop_faulty:
                self.dropped.append((data.lines.pop(utt), utt, fault))
                for column in data.files.values():
                    column.pop(utt)
            elif fault is result:
                faulty.setdefault(data.wavs[rec], []).append(utt)
            else:
                mend = "give seconds inside it, such as 1.25"
                self.mistakes.append(self.error(str(fault), mend, data.lines[utt]))
        for path, utts in faulty.items():
            self.mistakes.append(self.audio_error(path, found[path], utts))
        if self.dropped:
            kept = {segments[utt].split()[0] if segments else utt for utt in data.lines}
            data.wavs = {rec: path for rec, path in data.wavs.items() if rec in kept}
        if not self.mistakes:
            for rec, path in data.wavs.items():
                data.wavs[rec] = found[path].path

    def audio_error(
        self, path: str, fault: AudioFault, utts: Sequence[str]
    ) -> ManifestError:
        """Make an error of a recording, at the first line that names it."""
        mend = "correct the path (relative to the manifest) or remove the line"
        problem = f"audio file missing: {path}"
        if fault.reason != MISSING:
            problem = f"{path}: {fault}"
            mend = "replace the file, or leave such lines out: --drop_faulty true"
        if len(utts) > 1:
            problem += f" ({len(utts)} lines name it)"
        return self.error(problem, mend, self.data.lines[utts[0]])

    def language(self, column: str, code: str, allowed: Sequence[str]) -> None:
        """Check a language code."""
        if allowed and code not in allowed:
            raise self.error(
                f"unknown {column} '{code}'",
                f"use one of {' '.join(allowed)} or add it to --langs",
            )
        if not LANGUAGE.fullmatch(code):
            mend = "use an ISO 639-1 or 639-3 code such as fr, cy or zh-CN"
            first, _, second = code.replace("_", "-").partition("-")
            second = second.upper() if len(second) == 2 else second.capitalize()
            near = "-".join(filter(None, (first.lower(), second)))
            if LANGUAGE.fullmatch(near):
                mend = f"write '{near}'"
            raise self.error(f"unknown {column} '{code}'", mend)

    def text(self, column: str, row: dict[str, str]) -> str:
        """Return a text that must be there."""
        text = clean_text(row[column])
        if text:
            return text
        mend = "fill it in or remove the line"
        if column == "transcript" and not self.options.samu:
            mend += " (--use_src_lang false does without transcripts)"
        raise self.error(f"the {column} of '{row['id']}' is empty", mend)

    def times(self, row: dict[str, str]) -> tuple[str, str] | None:
        """Return start and end as written, in seconds; None: the whole file."""
        start, end = row.get("start", ""), row.get("end", "")
        if not start and not end:
            return None
        mend = "give both in seconds from the beginning of the file, such as 1.25"
        if not (TIME.fullmatch(start) and TIME.fullmatch(end)):
            raise self.error(f"start '{start}' or end '{end}' is no number", mend)
        begin, finish = float(start), float(end)
        if begin < 0 or finish < 0:
            raise self.error(f"negative time: start {start}, end {end}", mend)
        if begin >= finish:
            raise self.error(f"start {start} is not before end {end}", mend)
        return start, end

    def check_sorting(self) -> None:
        """Refuse speaker ids that sort otherwise than their utterances."""
        speakers = self.data.files["utt2spk"]
        last = ""
        for utt in sorted(speakers):
            if speakers[utt] < last:
                mistake = self.error(
                    f"speakers '{speakers[utt]}' and '{last}' get mixed by sorting",
                    "rename one so that it does not begin with the other",
                    self.data.lines[utt],
                )
                self.mistakes.append(mistake)
                return
            last = speakers[utt]
