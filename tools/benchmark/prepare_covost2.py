#!/usr/bin/env python3
"""Time and memory of the metadata of CoVoST-2's data preparation, audio aside."""

import argparse
import logging
import random
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from report import peak_memory, print_report

from espnet_samu.corpora.common_voice import Clips, CommonVoice
from espnet_samu.corpora.covost2 import ScenarioSets
from espnet_samu.corpora.covost2_directions import (
    SCENARIOS,
    Scenario,
    read_published,
)
from espnet_samu.corpora.covost2_distillation import Distillation, HeldOut, Limits

RECIPE = Path(__file__).parents[2] / "egs2" / "covost2" / "samu_st1"
SYLLABLES = "ba de fi go hu ka le mi no pu ra se ti vo xu za".split()


class NoAudio(Clips):
    """Clips that are taken to be all right, unseen."""

    def faults(self, folder: Path, names: Iterable[str]) -> dict[str, str]:
        return {}


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description="Time the metadata part of egs2/covost2/samu_st1's stage 1 on a "
        "made-up corpus: reading and joining the tables, checks, data directories of "
        "every direction, the combined sets, the sets of the distillation. Clips are "
        "neither there nor looked at.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--rows",
        type=int,
        default=430000,
        help="Lines of translations in all directions, shared out as in CoVoST-2",
    )
    parser.add_argument("--scenario", choices=[*SCENARIOS], default="x2en")
    parser.add_argument(
        "--seed", type=int, default=0, help="Of the made-up sentences and speakers"
    )
    return parser


def now() -> tuple[float, float]:
    """Return wall-clock and processor seconds; others may use the machine, too."""
    return time.perf_counter(), time.process_time()


def sentence(rng: random.Random) -> str:
    """Return a made-up sentence of about 50 characters."""
    words = ("".join(rng.choices(SYLLABLES, k=rng.randint(1, 4))) for _ in range(9))
    return " ".join(words).capitalize() + "."


def generate(folder: Path, scenario: Scenario, rows: int, seed: int) -> dict[str, int]:
    """Write validated.tsv and translations of all directions.

    Returns:
        Lines by table: ``validated`` and ``translations``.
    """
    rng = random.Random(seed)
    published = read_published(RECIPE / "conf" / "covost2_counts.tsv")
    total = sum(sum(published[d.source].values()) for d in scenario.directions)
    written = {"validated": 0, "translations": 0}
    for source in dict.fromkeys(d.source for d in scenario.directions):
        sizes = {
            split: max(40, n * rows // total) for split, n in published[source].items()
        }
        splits = [split for split, n in sizes.items() for _ in range(n)]
        # Common Voice has more clips than CoVoST-2 translates.
        extra = len(splits) // 4
        speakers = [f"{rng.getrandbits(512):0128x}" for _ in range(len(splits) // 30)]
        (folder / source / "clips").mkdir(parents=True)
        with (folder / source / "validated.tsv").open("w", encoding="utf-8") as f:
            f.write("client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\n")
            for n in range(len(splits) + extra):
                f.write(
                    f"{rng.choice(speakers)}\tcommon_voice_{source}_{n:08d}.mp3\t"
                    f"{sentence(rng)}\t2\t0\t\t\n"
                )
        written["validated"] += len(splits) + extra
        for direction in scenario.directions:
            if direction.source != source:
                continue
            with (folder / direction.file).open("w", encoding="utf-8") as f:
                f.write("path\ttranslation\tsplit\tclient_id\n")
                for n, split in enumerate(splits):
                    name = f"common_voice_{source}_{n:08d}.mp3"
                    f.write(f"{name}\t{sentence(rng)}\t{split}\t-\n")
            written["translations"] += len(splits)
    return written


def main() -> None:
    """Run from the command line."""
    args = get_parser().parse_args()
    logging.basicConfig(level=logging.WARNING)
    scenario = SCENARIOS[args.scenario]
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "corpus"
        written = generate(folder, scenario, args.rows, args.seed)
        generating = peak_memory()
        output = Path(work) / "data"
        common_voice = CommonVoice(folder)
        clips = NoAudio("stat", output)
        start = now()
        sets = ScenarioSets(scenario, common_voice, folder, clips, output)
        sets.make(300)
        published = read_published(RECIPE / "conf" / "covost2_counts.tsv")
        sets.save(output / "local" / "scenario", published)
        middle = now()
        held_out = HeldOut(common_voice, folder)
        distillation = Distillation(common_voice, held_out, clips, Limits(100, 100000))
        langs = distillation.present([d.source for d in scenario.directions])
        outputs = {split: output / f"samu_{split}" for split in ("train", "dev")}
        distillation.make(
            list(dict.fromkeys(langs)), output / "local" / "samu", outputs
        )
        end = now()
    parts = {
        "scenario": (start, middle),
        "distillation": (middle, end),
        "together": (start, end),
    }
    seconds = {
        f"{clock}_{name}": last[i] - first[i]
        for name, (first, last) in parts.items()
        for i, clock in enumerate(("wall", "cpu"))
    }
    figures = {
        "rows": args.rows,
        "scenario": args.scenario,
        "lines_validated": written["validated"],
        "lines_translations": written["translations"],
        **{f"seconds_{name}": value for name, value in seconds.items()},
        "lines_per_cpu_second": written["translations"] / seconds["cpu_together"],
        "peak_gib": peak_memory(),
        "peak_gib_before": generating,
    }
    print_report(
        f"CoVoST-2 metadata, {args.scenario}, {written['translations']} lines of "
        f"translations, {written['validated']} of validated.tsv (made up), one thread, "
        f"{figures['peak_gib']:.2f} GiB",
        ["sets", "wall seconds", "cpu seconds"],
        [
            [name, f"{seconds['wall_' + name]:.1f}", f"{seconds['cpu_' + name]:.1f}"]
            for name in parts
        ],
        figures,
    )


if __name__ == "__main__":
    main()
