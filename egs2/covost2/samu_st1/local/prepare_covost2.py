#!/usr/bin/env python3
"""Data preparation of CoVoST-2: the sets of a scenario and of the distillation.

Reads Common Voice (release 4: ``<lang>/validated.tsv``, ``<lang>/clips/*.mp3``) and
CoVoST-2's translations, and writes Kaldi data directories: for every direction
``<split>.<source>-<target>``, of those of the scenario together ``<split>.<tag>``, and
those of the distillation. What is there already, made of the same files, is left alone.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from covost2.clips import Clips
from covost2.counts import read_published
from covost2.distillation import Distillation, Limits, read_languages
from covost2.folders import CommonVoice
from covost2.held_out import HeldOut
from covost2.marker import Marker
from covost2.scenario_sets import ScenarioSets
from covost2.scenarios import SCENARIOS, choose_scenario

from espnet_samu.data.audio import MODES
from espnet_samu.utils.command import run

CONF = Path(__file__).parents[1] / "conf"
NONE = "none"


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--commonvoice", type=Path, required=True, help="Release 4: <lang>/...")
    add(
        "--covost2", type=Path, required=True, help="covost_v2.<src>_<tgt>.tsv[.tar.gz]"
    )
    add("--scenario", choices=[*SCENARIOS], default="x2en", help="Directions")
    add("--langs", default="", help="Only these languages beside English: 'fr,de'")
    add("--dev_per_direction", type=int, default=300, help="In dev.<tag>; 0: all")
    add("--samu_langs", default="", help="Of the distillation; 'none': no such sets")
    add("--samu_commonvoice", type=Path, help="Release for them, if another")
    add("--samu_train_set", default="samu_train", help="Name of the set")
    add("--samu_valid_set", default="samu_dev", help="Name of the set")
    add("--samu_dev_per_lang", type=int, default=100, help="Sentences for development")
    add("--samu_max_clips", type=int, default=100000, help="Of a language; 0: all")
    add("--audio", choices=MODES, default="convert", help="What is done about clips")
    add("--clips_dir", type=Path, default=Path("dump/clips"), help="Converted clips")
    add("--nj", type=int, default=4, help="Threads for the clips")
    add("--output_dir", type=Path, default=Path("data"), help="Data directories")
    return parser


def split_list(value: str) -> list[str]:
    """Read 'fr,de' or 'fr de'."""
    return value.replace(",", " ").split()


def make_scenario(
    args: argparse.Namespace, clips: Clips, common_voice: CommonVoice
) -> None:
    """Write the sets of all directions of a scenario, and those of them together."""
    scenario = choose_scenario(args.scenario, split_list(args.langs))
    sets = ScenarioSets(scenario, common_voice, args.covost2, clips, args.output_dir)
    work = args.output_dir / "local" / scenario.tag
    published = CONF / "covost2_counts.tsv"
    options = {
        "directions": [d.name for d in scenario.directions],
        "dev_per_direction": args.dev_per_direction,
        "audio": args.audio,
        "clips_dir": str(args.clips_dir),
    }
    marker = Marker(work / "done.json", options, [*sets.inputs(), published])
    if marker.is_current(sets.outputs()):
        logging.info(f"{scenario.tag}: the sets are there already")
    else:
        marker.clear()
        sets.make(args.dev_per_direction)
        sets.save(work, read_published(published))
        marker.set(sets.outputs())
    print((work / "counts.md").read_text("utf-8"))


def choose_release(args: argparse.Namespace, common_voice: CommonVoice) -> CommonVoice:
    """Return the release that the distillation takes its clips from.

    Raises:
        ValueError: A language that was asked for is not in it.
    """
    release = common_voice
    if args.samu_commonvoice is not None:
        release = CommonVoice(args.samu_commonvoice, "--samu_commonvoice")
    langs = split_list(args.samu_langs) if args.samu_langs != NONE else []
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
) -> None:
    """Write the sets of the distillation."""
    outputs = {
        "train": args.output_dir / args.samu_train_set,
        "dev": args.output_dir / args.samu_valid_set,
    }
    work = args.output_dir / "local" / args.samu_train_set
    langs = split_list(args.samu_langs) or read_languages(CONF / "samu_langs.tsv")
    held_out = HeldOut(common_voice, args.covost2, release)
    limits = Limits(args.samu_dev_per_lang, args.samu_max_clips)
    distillation = Distillation(release, held_out, clips, limits)
    langs = distillation.present(langs)
    inputs = held_out.files()
    for lang in langs:
        folder = release.language(lang)
        inputs += [folder / "validated.tsv", folder / "clips"]
    options = {
        "langs": langs,
        "limits": [limits.dev, limits.train],
        "audio": args.audio,
        "clips_dir": str(args.clips_dir),
    }
    marker = Marker(work / "done.json", options, inputs)
    if marker.is_current(outputs.values()):
        logging.info("distillation: the sets are there already")
    else:
        marker.clear()
        table = distillation.make(langs, work, outputs)
        distillation.counts.save(work, table)
        marker.set(outputs.values())
    print((work / "counts.md").read_text("utf-8"))


def main(cmd: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    args = get_parser().parse_args(cmd)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    common_voice = CommonVoice(args.commonvoice)
    clips = Clips(args.audio, args.clips_dir, args.nj)
    release = choose_release(args, common_voice)
    make_scenario(args, clips, common_voice)
    if args.samu_langs != NONE:
        make_distillation(args, clips, common_voice, release)


if __name__ == "__main__":
    run(main)
