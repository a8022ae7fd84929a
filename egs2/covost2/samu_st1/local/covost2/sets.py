"""Kaldi data directories of one direction or language, and of several together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from heapq import merge
from itertools import groupby
from pathlib import Path

from covost2.clips import Clips
from covost2.scenarios import Direction
from covost2.translations import Utterance
from covost2.validated import stem

from espnet_samu.data.data_dir import MAKER, DataDir, write_data_dir
from espnet_samu.utils.atomic import AtomicFolder

TRANSCRIPTS = "multi"
"""Suffix of transcripts where source languages are mixed: ``text.tc.multi``."""
COMMON = ("wav.scp", "utt2spk", "utt2lang")


def text_file(lang: str) -> str:
    """Return the name of a text file; tc: true case, as the corpus has it."""
    return f"text.tc.{lang}"


def write_direction(
    output: Path,
    direction: Direction,
    utterances: Iterable[Utterance],
    folder: Path,
    clips: Clips,
    tags: Sequence[str] = (),
) -> None:
    """Write one split of a direction.

    Args:
        output: ``data/<split>.<source>-<target>``.
        direction: Source and target language.
        utterances: Of the split; in any order.
        folder: Common Voice's folder of the source language.
        clips: Its sound files.
        tags: Of scenarios in which the set can be tested on its own: the texts are
            written under the names that these ask for, too.
    """
    transcripts = [text_file(direction.source)]
    translations = [text_file(direction.target)]
    if tags:
        transcripts.append(text_file(TRANSCRIPTS))
        translations += map(text_file, tags)
    data = DataDir()
    for utterance in utterances:
        utt = utterance.id(direction)
        data.wavs[utt] = clips.path(folder, utterance.name)
        data.put("utt2spk", utt, utterance.clip.speaker)
        data.put("utt2lang", utt, direction.source)
        data.put("utt2tgt_lang", utt, direction.target)
        for file in transcripts:
            data.put(file, utt, utterance.clip.sentence)
        for file in translations:
            data.put(file, utt, utterance.translation)
    write_data_dir(data, output)


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
        for utt, wav in lines(part / "wav.scp")
    )
    return {utt for _, utt in by_hash[:most]}


def clip_of(wav: bytes) -> str:
    """Return the name of a clip, without its folder and its format."""
    return stem(wav.decode().rpartition("/")[2])


def lines(path: Path) -> Iterator[tuple[bytes, bytes]]:
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

    def chosen(path: Path, keys: set[bytes] | None) -> Iterable[bytes]:
        stream = stack.enter_context(path.open("rb"))
        if keys is None:
            return stream
        return (line for line in stream if line.partition(b" ")[0] in keys)

    count = 0
    with ExitStack() as stack, output.open("wb") as out:
        # No byte of a key is smaller than the blank behind it: lines sort as keys do.
        for line in merge(*(chosen(path, keys) for path, keys in sources)):
            out.write(line)
            count += 1
    return count


def write_spk2utt(folder: Path) -> None:
    """Write spk2utt: speakers are prefixes of one length, so utterances of one are
    side by side."""
    with (folder / "spk2utt").open("wb") as out:
        pairs = lines(folder / "utt2spk")
        for speaker, group in groupby(pairs, key=lambda pair: pair[1]):
            out.write(speaker + b" " + b" ".join(utt for utt, _ in group) + b"\n")
