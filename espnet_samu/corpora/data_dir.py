"""Kaldi data directories: written completely or not at all, and merged."""

from __future__ import annotations

import hashlib
import marshal
import os
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import batched, groupby
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any

from espnet_samu.corpora.utterance import Utterance, id_fault
from espnet_samu.utils.atomic import AtomicFolder

MAKER = "the data preparation of espnet_samu"

SAFE_PATH = re.compile(r"[A-Za-z0-9_\w.,+@%=/-]+")
"""What wav.scp may name: ``--speed_perturb_factors`` hands it to a shell.

The ranges, which ``\\w`` has, too, make it twice as fast."""


class DataDir:
    """The utterances of a data directory, by id.

    Args:
        transcripts: Names of the files that transcripts are written to.
        translations: The same of translations; with any, ``utt2tgt_lang`` has the
            target language.
    """

    def __init__(
        self, transcripts: Iterable[str] = (), translations: Iterable[str] = ()
    ) -> None:
        self.columns = {"utt2spk": "speaker", "utt2lang": "language"}
        """Field of an utterance by the name of its file."""
        self.columns |= dict.fromkeys(transcripts, "transcript")
        if translations := dict.fromkeys(translations, "translation"):
            self.columns |= {**translations, "utt2tgt_lang": "target_language"}
        self.folders: set[str] = set()
        """Of the recordings."""
        self._utterances: dict[str, Any] = {}

    def __len__(self) -> int:
        """Return the number of utterances."""
        return len(self._utterances)

    def __iter__(self) -> Iterator[str]:
        """Yield the ids, in the order in which utterances were added."""
        return iter(self._utterances)

    def __contains__(self, utt: str) -> bool:
        """Return whether an id is there."""
        return utt in self._utterances

    def __getitem__(self, utt: str) -> Utterance:
        """Return an utterance."""
        return self._utterances[utt]

    def add(self, utterance: Utterance) -> None:
        """Add an utterance, or replace the one of its id."""
        self.folders.add(utterance.audio.rpartition("/")[0])
        self._utterances[utterance.id] = utterance

    def remove(self, utt: str) -> None:
        """Remove an utterance."""
        del self._utterances[utt]


class PackedDataDir(DataDir):
    """A data directory whose utterances are kept as bytes.

    They take half the memory, where nothing else holds their texts.
    """

    def __getitem__(self, utt: str) -> Utterance:
        """Return an utterance."""
        return Utterance._make((utt, *marshal.loads(self._utterances[utt])))

    def add(self, utterance: Utterance) -> None:
        """Add an utterance, or replace the one of its id."""
        super().add(utterance)
        self._utterances[utterance.id] = marshal.dumps(utterance[1:])


def write_data_dir(
    data: DataDir, output: Path, inputs: Iterable[str | os.PathLike[str]] = ()
) -> None:
    """Write a data directory, whole or not at all.

    Args:
        data: What to write.
        output: Replaced as a whole if it was written by this function.
        inputs: Files that it was made of, beside the recordings.

    Raises:
        ValueError: ``output`` holds an input or something else; an id or a path cannot
            be used.
    """
    with AtomicFolder(output, MAKER, [*inputs, *data.folders]) as folder:
        try:
            recordings = write_columns(data, folder)
        except ValueError as error:
            raise ValueError(f"{output}: {error}") from None
        if recordings:
            wavs = (f"{rec} {recordings[rec]}\n" for rec in sorted(recordings))
            (folder / "wav.scp").write_text("".join(wavs), "utf-8", newline="\n")
        write_spk2utt(folder)


_AT_ONCE = 1000  # utterances that are written together


def write_columns(data: DataDir, folder: Path) -> dict[str, str]:
    """Write one file for each field, sorted by utterance.

    Returns:
        Path by id of the recordings that utterances are cut out of.

    Raises:
        ValueError: An id or a path cannot be used.
    """
    recordings: dict[str, str] = {}
    columns = dict(data.columns)
    first = next(map(data.__getitem__, data), None)
    if first is not None and first.recording:
        columns["segments"] = "piece"
    else:
        columns["wav.scp"] = "audio"
    with ExitStack() as stack:
        files = [
            (attrgetter(field), stack.enter_context((folder / name).open("wb")))
            for name, field in columns.items()
        ]
        # Code points sort as UTF-8 bytes do: this is LC_ALL=C.
        for utts in batched(sorted(data), _AT_ONCE):
            utterances = [data[utt] for utt in utts]
            for utterance in utterances:
                check(utterance)
                if utterance.recording:
                    recordings[utterance.recording] = utterance.audio
            for field, file in files:
                lines = [f"{u.id} {field(u)}\n" for u in utterances]
                file.write("".join(lines).encode())
    return recordings


def check(utterance: Utterance) -> None:
    """Raise an error where ids or path cannot be used.

    Raises:
        ValueError: They cannot.
    """
    for value in utterance.id, utterance.speaker:
        fault = id_fault(value)
        if fault is not None:
            raise ValueError(f"the id {value!r} {fault}")
    if not SAFE_PATH.fullmatch(utterance.audio):
        raise ValueError(
            f"{utterance.audio!r} has a blank or a character that means something to "
            "a shell; rename it"
        )


TRANSCRIPTS = "multi"
"""Suffix of transcripts where source languages are mixed: ``text.tc.multi``."""
COMMON = ("wav.scp", "utt2spk", "utt2lang")


def text_file(lang: str) -> str:
    """Return the name of a text file; tc: true case, as the corpus has it."""
    return f"text.tc.{lang}"


def combine(
    parts: Mapping[Path, Mapping[str, str]], output: Path, most: int | None = None
) -> int:
    """Write several data directories as one.

    Args:
        parts: Data directories, each with its files beside ``COMMON`` and what these
            are called in the result. Ids are sorted as in LC_ALL=C and in one only.
        output: The result, replaced if it is there.
        most: Utterances of each; the same clips of English whatever the target.

    Returns:
        Number of utterances.
    """
    chosen = {part: choose(part, most) for part in parts}
    names = {file: file for file in COMMON}
    files = dict.fromkeys(to for part in parts.values() for to in part.values())
    total = 0
    with AtomicFolder(output, MAKER, parts) as folder:
        for file in (*names, *files):
            sources = []
            for part, renamed in parts.items():
                mine = {**names, **{to: name for name, to in renamed.items()}}
                if file in mine:
                    sources.append((part / mine[file], chosen[part]))
            total = merge_files(sources, folder / file)
        write_spk2utt(folder)
    return total


def choose(part: Path, most: int | None) -> set[bytes] | None:
    """Choose utterances of a data directory by a hash of the clip; None: all."""
    if most is None:
        return None
    by_hash = sorted(
        (hashlib.sha256(clip_of(wav).encode()).digest(), utt)
        for utt, wav in read_lines(part / "wav.scp")
    )
    return {utt for _, utt in by_hash[:most]}


def read_lines(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Read lines ``key value`` as bytes."""
    with path.open("rb") as stream:
        for line in stream:
            key, _, value = line.rstrip(b"\n").partition(b" ")
            yield key, value


def merge_files(sources: Sequence[tuple[Path, set[bytes] | None]], output: Path) -> int:
    """Merge sorted files of lines ``key value``, keeping what was chosen of each.

    Returns:
        Number of lines.
    """
    count = 0
    waiting = {blocks(path, keys): [b""] for path, keys in sources}
    with output.open("wb") as out:
        while waiting:
            # What is not read yet is behind the last line of its block.
            last = min(lines[-1] for lines in waiting.values())
            ready = []
            for stream, lines in list(waiting.items()):
                end = bisect_right(lines, last)
                ready += lines[:end]
                del lines[:end]
                if not lines:
                    lines += next(stream, [])
                if not lines:
                    del waiting[stream]
            # No byte of a key is smaller than the blank behind it: lines sort as keys.
            ready.sort()
            out.writelines(ready)
            count += len(ready)
    return count - len(sources)  # an empty line began each


_BLOCK = 2**16  # bytes of a file that are merged at once


def blocks(path: Path, keys: set[bytes] | None) -> Iterator[list[bytes]]:
    """Read lines ``key value`` some at a time: those with the keys; None: all."""
    with path.open("rb") as stream:
        while lines := stream.readlines(_BLOCK):
            if keys is not None:
                lines = [line for line in lines if line.partition(b" ")[0] in keys]
            if lines:
                yield lines


def write_spk2utt(folder: Path) -> None:
    """Write spk2utt of utt2spk, where utterances of a speaker are side by side."""
    with (folder / "utt2spk").open("rb") as lines:
        with (folder / "spk2utt").open("wb") as out:
            pairs = map(bytes.split, lines)
            for speaker, group in groupby(pairs, key=itemgetter(1)):
                out.write(b" ".join([speaker, *(utt for utt, _ in group)]) + b"\n")


def clip_of(wav: bytes) -> str:
    """Return the name of a clip, without its folder and its format."""
    return stem(wav.decode().rpartition("/")[2])


def stem(name: str) -> str:
    """Return a file name without what is behind its last point."""
    return name.rpartition(".")[0] or name
