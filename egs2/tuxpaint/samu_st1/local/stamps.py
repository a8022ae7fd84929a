#!/usr/bin/env python3
"""Manifests of Tux Paint's spoken stamps: short descriptions of pictures.

A stamp has its description in English and other languages in one text file, and
recordings of some beside it: ``NAME_desc_LANG.ogg``, of English ``NAME_desc.ogg``. A
concept is a description in English. Its set depends on its text alone, so that it is
the same in all languages of the training.
"""

import argparse
import collections
import csv
import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import soundfile
from espnet_samu.utils.atomic import atomic_write
from espnet_samu.utils.command import run

COLUMNS = "id audio language transcript translation target_language speaker".split()
SETS = "samu_train samu_dev train dev test_seen test_held test_unheard".split()
_TEXT = re.compile(r"([a-z]{2,3})\.utf8=(.*)")


class Dropped(NamedTuple):
    """A recording that no set has."""

    audio: str
    language: str
    reason: str


def percentile(text: str) -> int:
    """Return a number from 0 to 99 that depends on a text alone."""
    return int.from_bytes(hashlib.blake2b(text.encode()).digest()[:8], "big") % 100


def descriptions(path: Path) -> dict[str, str]:
    """Return the descriptions in a stamp's text file, by language; "en" comes first.

    Raises:
        ValueError: The file is not UTF-8.
    """
    try:
        first, *others = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: {error.reason}") from error
    found = {"en": first}
    for line in others:
        match = _TEXT.fullmatch(line.rstrip("\r"))
        if match:
            found.setdefault(match[1], match[2])
    return {
        language: " ".join(unicodedata.normalize("NFC", text).split())
        for language, text in found.items()
    }


def sets_of(concept: str, language: str, is_translated: bool) -> list[str]:
    """Return the sets that have a concept in a language.

    82 % of the concepts are for training, 6 % for ``samu_dev``, 12 % for
    ``test_held``. Of those for training, languages without translations lack 15 %:
    these are ``test_seen``, known from other languages alone. Each language with
    translations lacks another 8 %: ``dev``.
    """
    place = percentile(concept)
    if place >= 88:
        return ["test_held"]
    if place >= 82:
        return ["samu_dev"]
    if is_translated:
        is_held = percentile(f"dev {language} {concept}") < 8
        return ["dev"] if is_held else ["samu_train", "train"]
    return ["test_seen" if percentile(f"seen {concept}") < 15 else "samu_train"]


def read_stamps(
    folder: Path,
    translated: list[str],
    transcribed: list[str],
    unheard: list[str],
    seconds: float,
) -> Iterator[tuple[list[str], dict[str, str]] | Dropped]:
    """Yield the sets and the row of each recording, or why it has none."""
    known: set[tuple[str, str]] = set()
    for path in sorted(folder.rglob("*.txt")):
        texts = descriptions(path)
        concept = texts["en"]
        for language in [*translated, *transcribed, *unheard]:
            end = "" if language == "en" else f"_{language}"
            audio = path.with_name(f"{path.stem}_desc{end}.ogg")
            if not audio.exists():
                continue
            reason = ""
            if not concept:
                reason = "no description in English"
            elif not texts.get(language):
                reason = "no description in its language"
            elif (language, concept.casefold()) in known:
                reason = "another stamp has the same description in English"
            else:
                try:
                    duration = soundfile.info(audio).duration
                except soundfile.SoundFileError as error:
                    reason = f"cannot be read: {error}"
                else:
                    if duration > seconds:
                        reason = f"longer than {seconds:g} s"
            if reason:
                yield Dropped(str(audio), language, reason)
                continue
            known.add((language, concept.casefold()))
            name = path.relative_to(folder).with_suffix("").as_posix()
            sets = ["test_unheard"]
            if language not in unheard:
                sets = sets_of(concept.casefold(), language, language in translated)
            yield sets, {
                "id": f"{language}_{re.sub('[^A-Za-z0-9]+', '_', name)}",
                "audio": str(audio.resolve()),
                "language": language,
                "transcript": texts[language],
                "translation": concept,
                "target_language": "en",
                "speaker": f"tuxpaint_{language}",
            }


def write(path: Path, columns: list[str], rows: list[dict[str, str]]) -> None:
    """Write a tab-separated file, whole or not at all."""
    with atomic_write(path) as file:
        options = {"delimiter": "\t", "lineterminator": "\n", "quoting": csv.QUOTE_NONE}
        writer = csv.DictWriter(file, columns, quotechar=None, **options)
        writer.writeheader()
        writer.writerows(rows)


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--stamps", type=Path, required=True, help="Folder of stamps")
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--st_langs", default="es fr ru", help="With translations")
    parser.add_argument(
        "--samu_langs", default="be bg ca ro", help="With transcripts alone"
    )
    parser.add_argument(
        "--unheard_langs", default="en da el", help="In no training, for test_unheard"
    )
    parser.add_argument(
        "--max_seconds", type=float, default=8.0, help="Of the longest recording"
    )
    args = parser.parse_args(cmd)
    languages = [
        langs.split() for langs in (args.st_langs, args.samu_langs, args.unheard_langs)
    ]
    every = [language for langs in languages for language in langs]
    twice = [lang for lang, n in collections.Counter(every).items() if n > 1]
    if twice:
        raise ValueError(
            f"{' '.join(twice)}: one of --st_langs, --samu_langs and --unheard_langs?"
        )
    rows = collections.defaultdict(list)
    dropped = []
    for found in read_stamps(args.stamps, *languages, args.max_seconds):
        if isinstance(found, Dropped):
            dropped.append(found)
            continue
        for name in found[0]:
            # Transcribed speech is for the distillation, which needs no more.
            hidden = {"translation": "", "target_language": ""}
            is_samu = name.startswith("samu")
            rows[name].append({**found[1], **hidden} if is_samu else found[1])
    if not rows:
        raise ValueError(
            f"{args.stamps} has no recordings NAME_desc_LANG.ogg in "
            f"{' '.join(every)} beside NAME.txt"
        )
    args.output_dir.mkdir(parents=True, exist_ok=True)
    for name in SETS:
        write(args.output_dir / f"{name}.tsv", COLUMNS, rows[name])
        counts = collections.Counter(row["language"] for row in rows[name])
        numbers = ", ".join(f"{lang} {n}" for lang, n in sorted(counts.items()))
        print(f"{name}: {len(rows[name])} utterances ({numbers or 'none'})")
    columns = list(Dropped._fields)
    path = args.output_dir / "dropped.tsv"
    write(path, columns, [recording._asdict() for recording in dropped])
    for reason, n in collections.Counter(d.reason for d in dropped).most_common():
        print(f"left out: {n} recordings, {reason}")
    print(f"what was left out: {path}")


if __name__ == "__main__":
    run(main)
