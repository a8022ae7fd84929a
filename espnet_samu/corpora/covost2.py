"""CoVoST-2: the sets of a scenario's directions, and those of the distillation.

Reads Common Voice (release 4: ``<lang>/validated.tsv``, ``<lang>/clips/*.mp3``) and
CoVoST-2's translations, and writes Kaldi data directories: for every direction
``<split>.<source>-<target>``, of those of the scenario together ``<split>.<tag>``, and
those of the distillation. What is there already, made of the same files, is left alone.
Both corpora can be read from parquet files, as the hub has them.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping
from pathlib import Path

from espnet_samu.corpora.common_voice import (
    Clips,
    CommonVoice,
    Validated,
    read_validated,
)
from espnet_samu.corpora.counts import Counts
from espnet_samu.corpora.covost2_directions import (
    SCENARIOS,
    SPLITS,
    Direction,
    Scenario,
    choose_scenario,
    read_languages,
    read_published,
)
from espnet_samu.corpora.covost2_distillation import (
    CovostHeldOut,
    Distillation,
    Limits,
)
from espnet_samu.corpora.covost2_parquet import (
    TABLES,
    ShardClips,
    has_speech,
    write_speech_tables,
    write_tables,
)
from espnet_samu.corpora.covost2_translations import (
    count_overlaps,
    drop_faulty,
    join,
    translations,
    write_direction,
)
from espnet_samu.corpora.data_dir import TRANSCRIPTS, combine, text_file
from espnet_samu.corpora.marker import Marker, check_distinct
from espnet_samu.corpora.parquet import check_mode
from espnet_samu.utils.atomic import atomic_write
from espnet_samu.utils.hub import download_dataset, is_path

NONE = ["none"]
"""Languages of the distillation where it has no sets."""


class ScenarioSets:
    """Makes ``<split>.<source>-<target>`` and ``<split>.<tag>``.

    Args:
        scenario: Directions.
        common_voice: Release 4.
        covost2: Folder of the translations.
        clips: Sound files.
        output: Folder of the data directories.
        keep_quotes: See :func:`read_validated`.

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
        keep_quotes: bool = False,
    ) -> None:
        self.scenario = scenario
        self.keep_quotes = keep_quotes
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
        folder = self.folders[direction]
        validated = read_validated(folder, self.keep_quotes)
        validated.note(self.counts, direction.source, folder)
        return validated

    def write(self, direction: Direction, validated: Validated) -> None:
        """Write the sets of a direction."""
        folder, tsv = self.folders[direction], self.files[direction]
        path = self.clips.paths(folder)
        splits = join(direction, validated, tsv, path, self.counts)
        splits = drop_faulty(direction, splits, folder, tsv, self.clips, self.counts)
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
                utterances.values(),
                sorted(tags) if split == "test" else (),
            )
        logging.info(f"{direction.name}: {sum(map(len, splits.values()))} utterances")

    def save(self, folder: Path, published: Mapping[str, Mapping[str, int]]) -> None:
        """Write counts, faults and speakers that are in two splits."""
        for direction in self.scenario.directions:
            for split, number in published.get(direction.source, {}).items():
                self.counts.of(direction.name, split).published = number
        self.counts.save(folder)
        with atomic_write(folder / "speakers.tsv") as f:
            f.write("direction\tsplits\tspeaker\n")
            f.writelines("\t".join(overlap) + "\n" for overlap in self.overlaps)


def prepare(args: argparse.Namespace) -> None:
    """Write all sets, or list the directions of the test sets.

    Raises:
        ValueError: The options do not fit, or a corpus is missing or malformed.
    """
    scenario = choose_scenario(args.scenario, args.langs)
    if args.list_directions:
        print("\n".join(direction.name for direction in scenario.test))
        return
    clips = Clips(args.audio, args.clips_dir, args.nj)
    if args.covost2_parquet is not None:
        read_parquet(args, scenario)
        clips = ShardClips(args.clips_dir, args.nj)
    if args.commonvoice is None or args.covost2 is None:
        raise ValueError(
            "name the corpora's folders by --commonvoice and --covost2, or that of "
            "the parquet files, or their hub id, by --covost2_parquet"
        )
    common_voice = CommonVoice(args.commonvoice)
    release = choose_release(args, common_voice)
    fingerprints: dict[Path, list[int | str]] = {}
    make_scenario(args, scenario, clips, common_voice, fingerprints)
    if args.samu_langs != NONE:
        if release is not common_voice:
            shards = (release.folder / TABLES).is_file()
            clips = Clips(args.audio, args.clips_dir, args.nj)
            clips = ShardClips(args.clips_dir, args.nj) if shards else clips
        make_distillation(args, clips, common_voice, release, fingerprints)


def read_parquet(args: argparse.Namespace, scenario: Scenario) -> None:
    """Write the texts of parquet files as the tables of both corpora, and name these.

    Raises:
        ValueError: The options do not fit, or shards are missing or damaged.
    """
    if args.commonvoice is not None or args.covost2 is not None:
        raise ValueError(
            "--covost2_parquet takes the place of --commonvoice and --covost2"
        )
    check_mode("--covost2_parquet", args.audio)
    folder = Path(args.covost2_parquet)
    if not folder.is_dir() and not is_path(args.covost2_parquet):
        names = (f"{d.source}_{d.target}" for d in scenario.directions)
        patterns = [f"{name}/*.parquet" for name in names]
        folder = download_dataset(args.covost2_parquet, patterns)
    tables = args.output_dir / "local" / "parquet"
    write_tables(folder, scenario.directions, tables)
    args.commonvoice = args.covost2 = tables


def make_scenario(
    args: argparse.Namespace,
    scenario: Scenario,
    clips: Clips,
    common_voice: CommonVoice,
    fingerprints: dict[Path, list[int | str]],
) -> None:
    """Write the sets of all directions of a scenario, and those of them together."""
    sets = ScenarioSets(
        scenario, common_voice, args.covost2, clips, args.output_dir, args.keep_quotes
    )
    work = args.output_dir / "local" / scenario.tag
    published = args.conf_dir / "covost2_counts.tsv"
    options = {
        "directions": [d.name for d in scenario.directions],
        "dev_per_direction": args.dev_per_direction,
        "audio": args.audio,
        "keep_quotes": args.keep_quotes,
        "clips_dir": str(args.clips_dir),
    }
    inputs = [*sets.inputs(), published]
    marker = Marker(work / "done.json", options, inputs, fingerprints)
    check_distinct([*sets.outputs(), *distillation_sets(args).values()])

    def make() -> None:
        sets.make(args.dev_per_direction)
        sets.save(work, read_published(published))

    marker.make(sets.outputs(), make)


def distillation_sets(args: argparse.Namespace) -> dict[str, Path]:
    """Return the data directories of the distillation by split."""
    names = {"train": args.samu_train_set, "dev": args.samu_valid_set}
    return {split: args.output_dir / name for split, name in names.items()}


def choose_release(args: argparse.Namespace, common_voice: CommonVoice) -> CommonVoice:
    """Return the release that the distillation takes its clips from.

    Raises:
        ValueError: A language that was asked for is not in it.
    """
    release = common_voice
    if args.samu_commonvoice is not None:
        folder = args.samu_commonvoice
        if has_speech(folder):
            check_mode("--samu_commonvoice", args.audio)
            tables = args.output_dir / "local" / f"parquet_{folder.name}"
            write_speech_tables(folder, tables)
            folder = tables
        release = CommonVoice(folder, "--samu_commonvoice")
    langs = args.samu_langs if args.samu_langs != NONE else []
    if absent := [lang for lang in langs if release.find(lang) is None]:
        raise ValueError(
            f"--samu_langs: {' '.join(absent)}: no such folder with a validated.tsv in "
            f"{release.folder}"
        )
    return release


def make_distillation(
    args: argparse.Namespace,
    clips: Clips,
    common_voice: CommonVoice,
    release: CommonVoice,
    fingerprints: dict[Path, list[int | str]],
) -> None:
    """Write the sets of the distillation."""
    outputs = distillation_sets(args)
    work = args.output_dir / "local" / args.samu_train_set
    langs = args.samu_langs or read_languages(args.conf_dir / "samu_langs.tsv")
    held_out = CovostHeldOut(common_voice, args.covost2, release)
    limits = Limits(args.samu_dev_per_lang, args.samu_max_clips)
    distillation = Distillation(release, held_out, clips, limits, args.keep_quotes)
    langs = distillation.present(langs)
    inputs = held_out.files()
    for lang in langs:
        folder = release.language(lang)
        inputs += [folder / "validated.tsv", folder / "clips"]
    options = {
        "langs": langs,
        "limits": [limits.dev, limits.train],
        "audio": args.audio,
        "keep_quotes": args.keep_quotes,
        "clips_dir": str(args.clips_dir),
    }
    marker = Marker(work / "done.json", options, inputs, fingerprints)

    def make() -> None:
        distillation.make(langs, work, outputs)
        distillation.counts.save(work, total=True)

    marker.make([*outputs.values()], make)
