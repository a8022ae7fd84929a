"""The data directories of a scenario."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from covost2.clips import Clips
from covost2.counts import Counts
from covost2.folders import CommonVoice, translations
from covost2.scenarios import SCENARIOS, SPLITS, Direction, Scenario
from covost2.sets import TRANSCRIPTS, combine, text_file, write_direction
from covost2.translations import count_overlaps, drop_faulty, join
from covost2.validated import Validated, read_validated

from espnet_samu.utils.atomic import atomic_write


class ScenarioSets:
    """Makes ``<split>.<source>-<target>`` and ``<split>.<tag>``.

    Args:
        scenario: Directions.
        common_voice: Release 4.
        covost2: Folder of the translations.
        clips: Sound files.
        output: Folder of the data directories.

    Raises:
        ValueError: A language or its translations are missing.
    """

    def __init__(
        self,
        scenario: Scenario,
        common_voice: CommonVoice,
        covost2: Path,
        clips: Clips,
        output: Path,
    ) -> None:
        self.scenario = scenario
        self.clips = clips
        self.output = output
        self.folders = {d: common_voice.language(d.source) for d in scenario.directions}
        self.files = {d: translations(covost2, common_voice, d) for d in self.folders}
        self.counts = Counts()
        self.overlaps: list[tuple[str, str, str]] = []

    def inputs(self) -> list[Path]:
        """Return what is read, clips as their folders."""
        folders = self.folders.values()
        return [
            *self.files.values(),
            *(folder / "validated.tsv" for folder in folders),
            *(folder / "clips" for folder in folders),
        ]

    def single(self, direction: Direction, split: str) -> Path:
        """Return the data directory of a direction."""
        return self.output / f"{split}.{direction.name}"

    def together(self, split: str) -> Path:
        """Return the data directory of the directions together."""
        return self.output / f"{split}.{self.scenario.tag}"

    def outputs(self) -> list[Path]:
        """Return all data directories."""
        single = [self.single(d, split) for d in self.folders for split in SPLITS]
        return [*single, *map(self.together, SPLITS)]

    def make(self, dev_per_direction: int = 0) -> None:
        """Write all sets.

        Args:
            dev_per_direction: Most utterances of a direction in the development set of
                them together; 0: all.

        Raises:
            ValueError: A file cannot be read, or nothing is left of a split.
        """
        source, validated = "", Validated()
        for direction in self.scenario.directions:
            if direction.source != source:
                source = direction.source
                validated = self.read(direction)
            self.write(direction, validated)
        for split in SPLITS:
            test = split == "test"
            parts = {
                self.single(d, split): {
                    "utt2tgt_lang": "utt2tgt_lang",
                    text_file(d.source): text_file(TRANSCRIPTS),
                    text_file(d.target): text_file(self.scenario.tag),
                }
                for d in (self.scenario.test if test else self.scenario.train)
            }
            most = dev_per_direction if split == "dev" else 0
            total = combine(parts, self.together(split), most or None)
            logging.info(f"{self.together(split)}: {total} utterances")

    def read(self, direction: Direction) -> Validated:
        """Read the clips of a direction's source language."""
        validated = read_validated(self.folders[direction])
        for name in validated.duplicates:
            self.counts.note(direction.source, name, "duplicate in validated.tsv")
        for line in validated.malformed:
            reason = "malformed line of validated.tsv"
            self.counts.note(direction.source, f"line {line}", reason)
        return validated

    def write(self, direction: Direction, validated: Validated) -> None:
        """Write the sets of a direction."""
        folder, tsv = self.folders[direction], self.files[direction]
        splits = join(direction, validated, tsv, self.counts)
        splits = drop_faulty(direction, splits, folder, self.clips, self.counts)
        self.overlaps += count_overlaps(direction, splits, self.counts)
        tags = {s.tag for s in SCENARIOS.values() if direction in s.test}
        tags.add(self.scenario.tag)
        for split, utterances in splits.items():
            if not utterances:
                raise ValueError(
                    f"{tsv}: no utterance is left for {split}: {folder} has other "
                    "clips, or none"
                )
            write_direction(
                self.single(direction, split),
                direction,
                utterances,
                folder,
                self.clips,
                sorted(tags) if split == "test" else (),
            )
        logging.info(f"{direction.name}: {sum(map(len, splits.values()))} utterances")

    def save(self, folder: Path, published: Mapping[str, Mapping[str, int]]) -> None:
        """Write counts, faults and speakers that are in two splits."""
        table = self.counts.table(self.scenario.directions, published)
        self.counts.save(folder, table)
        with atomic_write(folder / "speakers.tsv") as f:
            f.write("direction\tsplits\tspeaker\n")
            f.writelines("\t".join(overlap) + "\n" for overlap in self.overlaps)
