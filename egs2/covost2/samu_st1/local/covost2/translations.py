"""Join one direction's translations with Common Voice's transcripts."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from covost2.clips import Clips
from covost2.counts import Counts
from covost2.scenarios import SPLITS, Direction
from covost2.tsv import TsvReader
from covost2.validated import Clip, Validated, utterance_id

from espnet_samu.text.clean import clean_text

COLUMNS = ("path", "translation", "split")
# CoVoST-2's second version: its own additions to Common Voice's training split.
SPLIT_OF = {"train": "train", "train_covost": "train", "dev": "dev", "test": "test"}
UNUSED = ("dev_covost", "test_covost")
"""Splits of the first version, which the second one leaves out."""


class Utterance(NamedTuple):
    """A clip and its translation."""

    name: str
    """File name of the clip."""
    clip: Clip
    translation: str

    def id(self, direction: Direction) -> str:
        """Return the utterance id."""
        return utterance_id(self.clip, direction.source, self.name, direction.suffix)


def join(
    direction: Direction, validated: Validated, tsv: Path, counts: Counts
) -> dict[str, list[Utterance]]:
    """Join translations and transcripts on the clip's file name.

    Args:
        direction: Source and target language.
        validated: Common Voice's clips of the source language.
        tsv: Translations.
        counts: Where to note what is read and dropped.

    Returns:
        Utterances by split, with transcript and translation.

    Raises:
        ValueError: The file cannot be read, or has no line of any split.
    """
    splits: dict[str, list[Utterance]] = {split: [] for split in SPLITS}
    seen: set[str] = set()
    reader = TsvReader(tsv, COLUMNS)
    for name, translation, label in reader:
        split = SPLIT_OF.get(label)
        if split is None:
            if label not in UNUSED:
                counts.note(direction.name, name, "unknown split")
            continue
        counts.listed[direction.name, split] += 1
        clip = validated.clips.get(name)
        translation = clean_text(translation)
        reason = None
        if name in seen:
            reason = "duplicate clip"
        elif clip is None:
            reason = "not in validated.tsv"
        elif not clip.sentence:
            reason = "empty transcript"
        elif not translation:
            reason = "empty translation"
        seen.add(name)
        if reason is not None:
            counts.drop(direction.name, split, name, reason)
        else:
            splits[split].append(Utterance(name, clip, translation))
    if not seen:
        raise ValueError(
            f"{tsv}: no line with split {', '.join(SPLIT_OF)}: is it version 2 of "
            "CoVoST?"
        )
    for line in reader.malformed:
        counts.note(direction.name, f"line {line}", "malformed line of translations")
    return splits


def drop_faulty(
    direction: Direction,
    splits: dict[str, list[Utterance]],
    folder: Path,
    clips: Clips,
    counts: Counts,
) -> dict[str, list[Utterance]]:
    """Leave out utterances whose clip cannot be used.

    Args:
        direction: Source and target language.
        splits: Utterances by split.
        folder: Common Voice's folder of the source language.
        clips: Its sound files.
        counts: Where to note them.
    """
    names = [u.name for utterances in splits.values() for u in utterances]
    faults = clips.faults(folder, names)
    for split, utterances in splits.items():
        for utterance in utterances:
            if utterance.name in faults:
                reason = faults[utterance.name]
                counts.drop(direction.name, split, utterance.name, reason)
    return {
        split: [u for u in utterances if u.name not in faults]
        for split, utterances in splits.items()
    }


def count_overlaps(
    direction: Direction, splits: dict[str, list[Utterance]], counts: Counts
) -> list[tuple[str, str, str]]:
    """Count speakers that are in two splits.

    Returns:
        Direction, the two splits (``train+test``) and speaker, for every one.
    """

    def speakers(utterances: Iterable[Utterance]) -> set[str]:
        return {utterance.clip.speaker for utterance in utterances}

    found = []
    for first, second in combinations(SPLITS, 2):
        both = speakers(splits[first]) & speakers(splits[second])
        if both:
            utts = sum(u.clip.speaker in both for u in splits[second])
            counts.overlaps.append((direction.name, first, second, len(both), utts))
            pair = f"{first}+{second}"
            found += [(direction.name, pair, speaker) for speaker in sorted(both)]
    return found
