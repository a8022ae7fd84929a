"""CoVoST-2's translations, joined with Common Voice's transcripts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, combinations
from pathlib import Path

from espnet_samu.corpora.common_voice import (
    ARCHIVE,
    Clips,
    CommonVoice,
    TsvReader,
    Validated,
    utterance_id,
)
from espnet_samu.corpora.counts import Counts
from espnet_samu.corpora.covost2_directions import SPLITS, Direction
from espnet_samu.corpora.data_dir import TRANSCRIPTS, DataDir, text_file, write_data_dir
from espnet_samu.corpora.utterance import Utterance, clean_text


def find_translations(
    covost2: Path, common_voice: CommonVoice, direction: Direction
) -> Path | None:
    """Find a file of translations.

    It is looked for in CoVoST-2's folder, in its folder of the source language and
    beside Common Voice's ``validated.tsv``; unpacked or as an archive.
    """
    places = [covost2, covost2 / direction.source]
    language = common_voice.find(direction.source)
    if language is not None:
        places.append(language)
    for place in places:
        for name in (direction.file, direction.file + ARCHIVE):
            if (place / name).is_file():
                return place / name
    return None


def translations(
    covost2: Path, common_voice: CommonVoice, direction: Direction
) -> Path:
    """Return a file of translations.

    Raises:
        ValueError: It is not there.
    """
    found = find_translations(covost2, common_voice, direction)
    if found is None:
        raise ValueError(
            f"CoVoST-2: no {direction.file} (or {ARCHIVE}) in {covost2}, "
            f"{covost2 / direction.source} or beside Common Voice's validated.tsv; "
            f"get it, leave '{direction.name}' out (--langs), or name another folder "
            "by --covost2, or as COVOST2 in the environment or db.sh"
        )
    return found


COLUMNS = ("path", "translation", "split")
# CoVoST-2's second version: its own additions to Common Voice's training split.
SPLIT_OF = {"train": "train", "train_covost": "train", "dev": "dev", "test": "test"}
UNUSED = ("dev_covost", "test_covost")
"""Splits of the first version, which the second one leaves out."""


def join(
    direction: Direction,
    validated: Validated,
    tsv: Path,
    path: Callable[[str], str],
    counts: Counts,
) -> dict[str, dict[str, Utterance]]:
    """Join translations and transcripts on the clip's file name.

    Args:
        direction: Source and target language.
        validated: Common Voice's clips of the source language.
        tsv: Translations.
        path: Returns that of a clip for wav.scp.
        counts: Where to note what is read and dropped.

    Returns:
        Utterances by split and file name of the clip.

    Raises:
        ValueError: The file cannot be read, or has no line of any split.
    """
    splits: dict[str, dict[str, Utterance]] = {split: {} for split in SPLITS}
    sets = {split: counts.of(direction.name, split) for split in SPLITS}
    seen: set[str] = set()
    reader = TsvReader(tsv, COLUMNS)
    for name, translation, label in reader:
        split = SPLIT_OF.get(label)
        if split is None:
            if label not in UNUSED:
                counts.note(direction.name, name, "unknown split", tsv, reader.line)
            continue
        sets[split].listed += 1
        clip = validated.clips.get(name)
        translation = clean_text(translation)
        reason = ""
        if name in seen:
            reason = "duplicate clip"
        elif clip is None:
            reason = "not in validated.tsv"
        elif not clip.sentence:
            reason = "empty transcript"
        elif not translation:
            reason = "empty translation"
        seen.add(name)
        if clip is None or reason:
            counts.drop(direction.name, split, name, reason, tsv, reader.line)
        else:
            splits[split][name] = Utterance(
                id=utterance_id(clip, direction.source, name, direction.suffix),
                speaker=clip.speaker,
                audio=path(name),
                language=direction.source,
                transcript=clip.sentence,
                translation=translation,
                target_language=direction.target,
                line=reader.line,
            )
    if not seen:
        raise ValueError(
            f"{tsv}: no line with split {', '.join(SPLIT_OF)}: is it version 2 of "
            "CoVoST?"
        )
    for line in reader.malformed:
        reason = "malformed line of translations"
        counts.note(direction.name, f"line {line}", reason, tsv, line)
    return splits


def drop_faulty(
    direction: Direction,
    splits: Mapping[str, Mapping[str, Utterance]],
    folder: Path,
    tsv: Path,
    clips: Clips,
    counts: Counts,
) -> dict[str, dict[str, Utterance]]:
    """Leave out utterances whose clip cannot be used.

    Args:
        direction: Source and target language.
        splits: Utterances by split and file name of the clip.
        folder: Common Voice's folder of the source language.
        tsv: Translations, which list the clips.
        clips: Its sound files.
        counts: Where to note them.
    """
    faults = clips.faults(folder, chain(*splits.values()))
    for split, utterances in splits.items():
        for name, utterance in utterances.items():
            if name in faults:
                reason, line = faults[name], utterance.line
                counts.drop(direction.name, split, name, reason, tsv, line)
    return {
        split: {name: u for name, u in utterances.items() if name not in faults}
        for split, utterances in splits.items()
    }


def count_overlaps(
    direction: Direction, splits: Mapping[str, Mapping[str, Utterance]], counts: Counts
) -> list[tuple[str, str, str]]:
    """Count speakers that are in two splits.

    Returns:
        Direction, the two splits (``train+test``) and speaker, for every one.
    """
    speakers = {
        split: [utterance.speaker for utterance in utterances.values()]
        for split, utterances in splits.items()
    }
    found, notes = [], []
    for first, second in combinations(SPLITS, 2):
        both = set(speakers[first]) & set(speakers[second])
        if both:
            utts = sum(speaker in both for speaker in speakers[second])
            names = ("direction", "first", "second", "speakers", "utts")
            overlap = (direction.name, first, second, len(both), utts)
            entry = dict(zip(names, overlap))
            counts.details.setdefault("speaker_overlaps", []).append(entry)
            where = f"{first} in {second}"
            notes.append(f"{len(both)} of {where} ({utts} utterances there)")
            pair = f"{first}+{second}"
            found += [(direction.name, pair, speaker) for speaker in sorted(both)]
    if notes:
        counts.notes.append(f"{direction.name}: speakers: {', '.join(notes)}")
    return found


def write_direction(
    output: Path,
    direction: Direction,
    utterances: Iterable[Utterance],
    tags: Sequence[str] = (),
) -> None:
    """Write one split of a direction.

    Args:
        output: ``data/<split>.<source>-<target>``.
        direction: Source and target language.
        utterances: Of the split; in any order.
        tags: Of scenarios in which the set can be tested on its own: the texts are
            written under the names that these ask for, too.
    """
    transcripts = [text_file(direction.source)]
    translations = [text_file(direction.target)]
    if tags:
        transcripts.append(text_file(TRANSCRIPTS))
        translations += map(text_file, tags)
    data = DataDir(transcripts, translations)
    for utterance in utterances:
        data.add(utterance)
    write_data_dir(data, output)
