"""Read and check the manifest of a user's own corpus."""

from __future__ import annotations

import csv
import math
import os
import re
from pathlib import Path
from typing import Sequence

from espnet_samu.data.data_dir import DataDir
from espnet_samu.data.manifest_options import ManifestOptions
from espnet_samu.text.clean import clean_text

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


class ManifestError(ValueError):
    """A mistake in a manifest: says file, line, what is wrong and what to do.

    Args:
        path: The manifest.
        line: Line number, from 1; the header is line 1.
        problem: What is wrong.
        mend: What to do about it.
    """

    def __init__(self, path: Path, line: int, problem: str, mend: str) -> None:
        super().__init__(f"{path}:{line}: {problem}; {mend}")


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
        path: TSV with a header line; no quoting.
        options: What must be there.
    """

    def __init__(self, path: Path, options: ManifestOptions) -> None:
        self.path = path
        self.options = options
        self.line = 1
        self.data = DataDir()
        self.recordings: dict[str, str] = {}  # path as written -> recording id

    def error(self, problem: str, mend: str) -> ManifestError:
        """Make an error that points at the line being read."""
        return ManifestError(self.path, self.line, problem, mend)

    def read(self) -> DataDir:
        """Read the whole manifest.

        Returns:
            What to write.

        Raises:
            ManifestError: The first mistake.
        """
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as stream:
                rows = csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
                columns = self.header(next(rows, []))
                for values in rows:
                    self.line = rows.line_num
                    if values:
                        self.row(columns, values)
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
        if not self.data.lines:
            raise self.error("the manifest is empty", "add a line for each utterance")
        self.check_sorting()
        return self.data

    def header(self, columns: list[str]) -> list[str]:
        """Check the header line."""
        allowed = f"the header needs {' '.join(REQUIRED)} [{' '.join(OPTIONAL)}]"
        if not columns:
            raise self.error("the manifest is empty", f"{allowed}, tab-separated")
        missing = [name for name in REQUIRED if name not in columns]
        if missing:
            raise self.error(f"column missing: {' '.join(missing)}", allowed)
        for name in columns:
            if name not in REQUIRED + OPTIONAL:
                raise self.error(f"unknown column '{name}'", allowed)
            if columns.count(name) > 1:
                raise self.error(f"column '{name}' comes twice", allowed)
        if ("start" in columns) != ("end" in columns):
            raise self.error("start and end belong together", "add the other column")
        return columns

    def row(self, columns: list[str], values: list[str]) -> None:
        """Check one line and take it over."""
        if len(values) != len(columns):
            raise self.error(
                f"{len(values)} fields, but the header has {len(columns)}",
                "separate the fields by one tab, with no tab inside a field",
            )
        row = {name: value.strip() for name, value in zip(columns, values)}
        options, data = self.options, self.data
        utt, speaker = self.names(row)
        recording = self.recording(row)
        self.language("language", row["language"], options.langs)
        data.lines[utt] = self.line
        data.put("utt2spk", utt, speaker)
        data.put("utt2lang", utt, row["language"])
        if options.use_src_lang:
            data.put(options.src_name, utt, self.text("transcript", row))
        if not options.samu:
            data.put(options.tgt_name, utt, self.text("translation", row))
            self.language("target_language", row["target_language"], ())
            data.put("utt2tgt_lang", utt, row["target_language"])
        times = self.times(row)
        if (times is None) == ("segments" in data.files) and len(data.lines) > 1:
            raise self.error(
                "some lines have start and end, some have none",
                "give the times of all or of none",
            )
        if times is None:
            data.wavs[utt] = recording
        else:
            rec = self.recordings.setdefault(
                recording, f"recording-{len(self.recordings):07d}"
            )
            data.wavs[rec] = recording
            data.put("segments", utt, f"{rec} {times[0]} {times[1]}")

    def names(self, row: dict[str, str]) -> tuple[str, str]:
        """Return utterance and speaker id."""
        utt, speaker = row["id"], row.get("speaker", "")
        for name, value in (("id", utt), ("speaker", speaker)):
            if len(value.split()) > 1:
                raise self.error(f"{name} '{value}' has a space", "use _ instead")
        if not utt:
            raise self.error("the id is empty", "give every utterance an id")
        # Kaldi's tools need utterances of one speaker together after sorting.
        if speaker and not utt.startswith(f"{speaker}-"):
            utt = f"{speaker}-{utt}"
        if utt in self.data.lines:
            raise self.error(
                f"duplicate id '{row['id']}' (also in line {self.data.lines[utt]})",
                "make the ids unique",
            )
        return utt, speaker or utt

    def recording(self, row: dict[str, str]) -> str:
        """Return the absolute path of the audio."""
        audio = row["audio"]
        if not audio:
            problem = "transcript without audio" if row["transcript"] else "no audio"
            raise self.error(problem, "name the audio file or remove the line")
        path = os.path.abspath(os.path.join(self.path.parent, audio))
        if path.endswith("|"):
            # wav.scp would take it for a command and run it.
            raise self.error(f"audio '{audio}' ends in |", "only files are allowed")
        if path not in self.recordings and not os.path.isfile(path):
            raise self.error(
                f"audio file missing: {path}",
                "correct the path (relative to the manifest) or remove the line",
            )
        return path

    def language(self, column: str, code: str, allowed: Sequence[str]) -> None:
        """Check a language code."""
        if allowed and code not in allowed:
            raise self.error(
                f"unknown {column} '{code}'",
                f"use one of {' '.join(allowed)} or add it to --langs",
            )
        if not LANGUAGE.fullmatch(code):
            raise self.error(
                f"unknown {column} '{code}'",
                "use an ISO 639-1 or 639-3 code such as fr, cy or zh-CN",
            )

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
        try:
            begin, finish = float(start), float(end)
        except ValueError:
            begin = finish = math.nan
        mend = "give both in seconds from the beginning of the file, such as 1.25"
        if not (math.isfinite(begin) and math.isfinite(finish)):
            raise self.error(f"start '{start}' or end '{end}' is no number", mend)
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
                self.line = self.data.lines[utt]
                raise self.error(
                    f"speakers '{speakers[utt]}' and '{last}' get mixed by sorting",
                    "rename one so that it does not begin with the other",
                )
            last = speakers[utt]
