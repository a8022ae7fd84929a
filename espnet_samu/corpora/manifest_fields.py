"""A line of a manifest: columns, what its fields may hold, and the ids made of them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from operator import ne
from pathlib import Path

from espnet_samu.corpora.data_dir import SAFE_PATH
from espnet_samu.corpora.utterance import Utterance, clean_text, csv_unquote, safe_ids
from espnet_samu.utils.language_codes import iso_code, parse_code


class Mistake(ValueError):
    """What is wrong with a line.

    Args:
        problem: What is wrong.
        mend: What to do about it.
    """

    def __init__(self, problem: str, mend: str) -> None:
        super().__init__(f"{problem}; {mend}")
        self.problem = problem
        self.mend = mend


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
        if {*self.transcripts} & {*self.translations}:
            name = self.transcripts[0]
            raise ValueError(f"transcripts and translations would be {name}")

    @property
    def transcripts(self) -> list[str]:
        """File of the transcripts, if any."""
        return [f"text.{self.src_case}.{self.src_lang}"] if self.use_src_lang else []

    @property
    def translations(self) -> list[str]:
        """File of the translations, if any."""
        return [] if self.samu else [f"text.{self.tgt_case}.{self.tgt_lang}"]


REQUIRED = (
    "id",
    "audio",
    "language",
    "transcript",
    "translation",
    "target_language",
)
OPTIONAL = ("speaker", "start", "end")
TIME = re.compile(r"-?([0-9]+(\.[0-9]*)?|\.[0-9]+)")


class ManifestFields:
    """Reads the fields of lines.

    Args:
        options: What must be there.
        folder: Of the manifest; paths of recordings are relative to it.
        safe_paths: Whether recordings keep their paths, which a shell has to read.
    """

    def __init__(
        self, options: ManifestOptions, folder: Path, safe_paths: bool
    ) -> None:
        self.options = options
        self.safe_paths = safe_paths
        self.unquoted = 0
        """Fields whose CSV quotes were removed."""
        self._all_quoted = False
        self._folder = str(folder)
        self._columns: list[str] = []
        self._nameless: list[int] = []  # a spreadsheet writes empty columns, too
        self._recordings: dict[str, str] = {}  # path -> id, with start and end

    def read_header(self, fields: list[str]) -> None:
        """Read the header line.

        Raises:
            Mistake: It is not that of a manifest.
        """
        allowed = f"the header needs {' '.join(REQUIRED)} [{' '.join(OPTIONAL)}]"
        if not fields:
            raise Mistake("the manifest is empty", f"{allowed}, tab-separated")
        if len(fields) == 1 and re.search("[,;]", fields[0]):
            raise Mistake(
                f"no tab in the header '{fields[0]}'",
                "this looks like CSV: save the table with tabs between the fields",
            )
        columns = [field.strip() for field in fields]
        if all(re.fullmatch('".*"', name) for name in columns):
            self._all_quoted = True
            columns = [name[1:-1] for name in columns]
        names = REQUIRED + OPTIONAL
        if large := [n for n in columns if n not in names and n.lower() in names]:
            mend = " ".join(repr(name.lower()) for name in large)
            problem = " ".join(map(repr, large))
            raise Mistake(f"unknown column {problem}", f"write {mend}")
        unknown = [name for name in columns if name and name not in names]
        missing = [name for name in REQUIRED if name not in columns]
        if missing:
            problem = f"column missing: {' '.join(missing)}"
            if unknown:
                problem += f"; not known: {' '.join(unknown)}"
            raise Mistake(problem, allowed)
        if unknown:
            mend = f"rename or remove it: {allowed}"
            raise Mistake(f"unknown column '{unknown[0]}'", mend)
        for name in filter(None, columns):
            if columns.count(name) > 1:
                raise Mistake(f"column '{name}' comes twice", allowed)
        if ("start" in columns) != ("end" in columns):
            raise Mistake("start and end belong together", "add the other column")
        self._columns = columns
        self._nameless = [i for i, name in enumerate(columns) if not name]

    def read_line(self, values: list[str]) -> tuple[dict[str, str], Utterance]:
        """Read any other line.

        Returns:
            Its fields by column, and the utterance.

        Raises:
            Mistake: A field cannot be used.
        """
        if len(values) != len(self._columns):
            mend = "separate the fields by one tab, with no tab inside a field"
            if any(value.count('"') % 2 for value in values):
                mend += ", nor a line break inside quotes"
            raise Mistake(
                f"{len(values)} fields, but the header has {len(self._columns)}", mend
            )
        values = [value.strip() for value in values]
        # CSV writers quote where it is needed; or everywhere, the header included.
        plain = [csv_unquote(value, self._all_quoted) for value in values]
        self.unquoted += sum(map(ne, plain, values))
        row = dict(zip(self._columns, plain))
        if self._nameless and any(plain[i] for i in self._nameless):
            mend = "name it in the header, or remove it"
            raise Mistake("a value in a column without a name", mend)
        if not row["id"]:
            raise Mistake("the id is empty", "give every utterance an id")
        utt, speaker = safe_ids(row["id"], row.get("speaker", ""))
        audio = self._audio(row)
        self._check_language("language", row["language"], self.options.langs)
        transcript = translation = target = ""
        if self.options.transcripts:
            transcript = self._text("transcript", row)
        if self.options.translations:
            translation = self._text("translation", row)
            target = row["target_language"]
            self._check_language("target_language", target, ())
        times = self._times(row)
        recording = ""
        if times is not None:
            number = len(self._recordings)
            recording = self._recordings.setdefault(audio, f"recording-{number:07d}")
        start, end = times or ("", "")
        return row, Utterance(
            id=utt,
            speaker=speaker,
            audio=audio,
            language=row["language"],
            transcript=transcript,
            translation=translation,
            target_language=target,
            recording=recording,
            start=start,
            end=end,
        )

    def _audio(self, row: dict[str, str]) -> str:
        """Return the absolute path of the audio."""
        audio = row["audio"]
        if not audio:
            problem = "transcript without audio" if row["transcript"] else "no audio"
            raise Mistake(problem, "name the audio file or remove the line")
        path = os.path.abspath(os.path.join(self._folder, audio))
        if self.safe_paths and not SAFE_PATH.fullmatch(path):
            raise Mistake(
                f"audio '{path}' has a blank or a character that means something to a "
                "shell",
                "rename it, or let --audio convert write it to another place",
            )
        return path

    @staticmethod
    def _check_language(column: str, code: str, allowed: Sequence[str]) -> None:
        """Check a language code."""
        if allowed and parse_code(code) not in map(parse_code, allowed):
            raise Mistake(
                f"unknown {column} '{code}'",
                f"use one of {' '.join(allowed)} or add it to --langs",
            )
        if not code:
            mend = "fill it in: an ISO 639 code such as fr, cy or zh-CN"
            raise Mistake(f"the {column} is empty", mend)
        near = iso_code(code)
        if code != near:
            mend = "use an ISO 639-1 or 639-3 code such as fr, cy or zh-CN"
            mend = f"write '{near}'" if near else mend
            raise Mistake(f"unknown {column} '{code}'", mend)

    def _text(self, column: str, row: dict[str, str]) -> str:
        """Return a text that must be there."""
        text = clean_text(row[column])
        if text:
            return text
        mend = "fill it in or remove the line"
        if column == "transcript" and not self.options.samu:
            mend += " (--use_src_lang false does without transcripts)"
        raise Mistake(f"the {column} of '{row['id']}' is empty", mend)

    @staticmethod
    def _times(row: dict[str, str]) -> tuple[str, str] | None:
        """Return start and end as written, in seconds; None: the whole file."""
        start, end = row.get("start", ""), row.get("end", "")
        if not start and not end:
            return None
        mend = "give both in seconds from the beginning of the file, such as 1.25"
        if not (TIME.fullmatch(start) and TIME.fullmatch(end)):
            raise Mistake(f"start '{start}' or end '{end}' is no number", mend)
        begin, finish = float(start), float(end)
        if begin < 0 or finish < 0:
            raise Mistake(f"negative time: start {start}, end {end}", mend)
        if begin >= finish:
            raise Mistake(f"start {start} is not before end {end}", mend)
        return start, end
