#!/usr/bin/env python3
"""Stage 1: time and memory without audio work, and the speed of decoding."""

import argparse
import io
import json
import random
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
import soxr
from report import peak_memory, print_report

from espnet_samu.bin.prepare import main as prepare
from espnet_samu.corpora.audio_store import Recording
from espnet_samu.corpora.covost2_directions import SCENARIOS, read_published
from espnet_samu.corpora.parquet import ShardStore, read_clips

CONF = Path(__file__).parents[2] / "egs2" / "covost2" / "samu_st1" / "conf"
SYLLABLES = "ba dé fi go hu ka le mi no pu ra se ti vo xu za".split()
CORPORA = ("manifest", "covost2", "covost2_parquet")
CLIPS = 600
SHARDS = {"train": "train", "dev": "validation", "test": "test"}
SECONDS = 5  # of a clip, about as long as Common Voice's


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description="Time espnet_samu.bin.prepare with --audio stat on made-up "
        "corpora: reading and joining tables, checks of every field, the sizes of "
        "recordings (links to one small file), data directories; of CoVoST-2 every "
        "direction, the combined sets and those of the distillation; the same from "
        "parquet files whose clips were decoded before. Then decode mp3 clips out of "
        "a parquet file, and beside it by soundfile, soxr and soundfile alone.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--rows",
        type=int,
        default=430000,
        help="Lines of the manifest, and lines of translations in all directions, "
        "shared out as in CoVoST-2",
    )
    parser.add_argument("--scenario", choices=[*SCENARIOS], default="x2en")
    parser.add_argument("--corpora", nargs="+", choices=CORPORA, default=CORPORA)
    parser.add_argument("--clips", type=int, default=CLIPS, help="That are decoded")
    parser.add_argument(
        "--seed", type=int, default=0, help="Of the made-up sentences and speakers"
    )
    # How the script calls itself: a process for each figure of memory.
    parser.add_argument("--measure", choices=CORPORA, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser


def sentence(rng: random.Random) -> str:
    """Return a made-up sentence of about 50 characters."""
    words = ("".join(rng.choices(SYLLABLES, k=rng.randint(1, 4))) for _ in range(9))
    return " ".join(words).capitalize() + "."


def make_manifest(folder: Path, args: argparse.Namespace) -> None:
    """Write a manifest, with a recording for each line."""
    rng = random.Random(args.seed)
    clips = folder / "clips"
    clips.mkdir()
    (folder / "one.wav").write_bytes(b"not decoded")
    with (folder / "train.tsv").open("w", encoding="utf-8") as f:
        f.write("id\taudio\tlanguage\ttranscript\ttranslation\ttarget_language\t")
        f.write("speaker\n")
        for n in range(args.rows):
            (clips / f"utterance_{n:08d}.wav").symlink_to(folder / "one.wav")
            f.write(f"utterance_{n:08d}\tclips/utterance_{n:08d}.wav\t")
            f.write(f"{rng.choice(('fr', 'de', 'es', 'ca'))}\t{sentence(rng)}\t")
            f.write(f"{sentence(rng)}\ten\tspeaker{rng.randrange(10000):05d}\n")


def make_covost2(folder: Path, args: argparse.Namespace) -> None:
    """Write validated.tsv, clips and translations of all directions."""
    rng = random.Random(args.seed)
    published = read_published(CONF / "covost2_counts.tsv")
    directions = SCENARIOS[args.scenario].directions
    total = sum(sum(published[d.source].values()) for d in directions)
    (folder / "one.mp3").write_bytes(b"not decoded")
    for source in dict.fromkeys(d.source for d in directions):
        splits = [
            split
            for split, n in published[source].items()
            for _ in range(max(40, n * args.rows // total))
        ]
        # Common Voice has more clips than CoVoST-2 translates.
        clips = len(splits) + len(splits) // 4
        names = [f"common_voice_{source}_{n:08d}.mp3" for n in range(clips)]
        speakers = [f"{rng.getrandbits(512):0128x}" for _ in range(len(splits) // 30)]
        (folder / source / "clips").mkdir(parents=True)
        with (folder / source / "validated.tsv").open("w", encoding="utf-8") as f:
            f.write("client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\n")
            for name in names:
                (folder / source / "clips" / name).symlink_to(folder / "one.mp3")
                speaker, said = rng.choice(speakers), sentence(rng)
                f.write(f"{speaker}\t{name}\t{said}\t2\t0\t\t\n")
        for direction in directions:
            if direction.source == source:
                with (folder / direction.file).open("w", encoding="utf-8") as f:
                    f.write("path\ttranslation\tsplit\tclient_id\n")
                    for name, split in zip(names, splits):
                        f.write(f"{name}\t{sentence(rng)}\t{split}\t-\n")


def make_covost2_parquet(folder: Path, args: argparse.Namespace) -> None:
    """Write parquet files of all directions, and their clips as if decoded before."""
    rng = random.Random(args.seed)
    published = read_published(CONF / "covost2_counts.tsv")
    directions = SCENARIOS[args.scenario].directions
    total = sum(sum(published[d.source].values()) for d in directions)
    kinds = [(name, pa.string()) for name in ("client_id", "file", "id")]
    kinds += [(name, pa.string()) for name in ("sentence", "translation")]
    kinds += [("audio", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))]
    (folder / "one.flac").write_bytes(b"not decoded")
    for direction in directions:
        source = direction.source
        clips = folder / "clips" / source
        clips.mkdir(parents=True, exist_ok=True)
        output = folder / f"{source}_{direction.target}"
        output.mkdir()
        first = 0
        with (clips / "known.1.tsv").open("a", encoding="utf-8") as known:
            for split, name in SHARDS.items():
                number = max(40, published[source][split] * args.rows // total)
                ids = [f"common_voice_{source}_{first + n:08d}" for n in range(number)]
                first += number
                said, meant = ([sentence(rng) for _ in ids] for _ in range(2))
                speakers = [f"{rng.randrange(number):0128x}" for _ in ids]
                audio = [{"bytes": b"not decoded", "path": f"{i}.mp3"} for i in ids]
                files = [f"/somewhere/{i}.mp3" for i in ids]
                columns = [speakers, files, ids, said, meant, audio]
                path = output / f"{name}-00000-of-00001.parquet"
                table = pa.table(columns, schema=pa.schema(kinds))
                pq.write_table(table, path, row_group_size=1000)
                status = path.stat()
                for clip in ids:
                    flac = clips / f"{clip}.flac"
                    if flac.is_symlink():  # of another direction from English
                        continue
                    flac.symlink_to(folder / "one.flac")
                    state = f"{status.st_size}\t{status.st_mtime_ns}\t80000"
                    known.write(f"{clip}.mp3\t{state}\t{flac}\t\n")


def measure(corpus: str, folder: Path, scenario: str) -> dict[str, float]:
    """Prepare a corpus in this process."""
    output = folder / "data"
    options = ["covost2", "--clips_dir", f"{folder}/clips"]
    if corpus != "covost2_parquet":
        options = [corpus, "--audio", "stat", "--clips_dir", f"{folder}/clips"]
    if corpus == "manifest":
        output /= "train"
        options += ["--manifest", f"{folder}/train.tsv"]
    else:
        options += ["--scenario", scenario, "--conf_dir", f"{CONF}"]
    if corpus == "covost2":
        options += ["--commonvoice", f"{folder}", "--covost2", f"{folder}"]
    elif corpus == "covost2_parquet":
        options += ["--covost2_parquet", f"{folder}"]
    wall, cpu = time.perf_counter(), time.process_time()
    with redirect_stdout(sys.stderr):
        prepare([*options, "--output_dir", f"{output}"])
    return {
        "wall_seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
        "peak_gb": peak_memory() * 2**30 / 1e9,
    }


def measure_apart(corpus: str, folder: Path, scenario: str) -> dict[str, float]:
    """Prepare a corpus in a process of its own."""
    command = [sys.executable, __file__, "--measure", corpus, "--folder", f"{folder}"]
    command += ["--scenario", scenario]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=Path(__file__).parent
    )
    return json.loads(done.stdout)


MAKE = dict(zip(CORPORA, (make_manifest, make_covost2, make_covost2_parquet)))


def decode(number: int, seed: int) -> dict[str, float]:
    """Decode mp3 clips of 48 kHz to FLAC of 16 kHz, in one thread.

    Returns:
        Clips a second of a core, of ours and of a plain loop, in turns of 50 clips; and
        the ratio. Medians over the turns.
    """
    rng = np.random.default_rng(seed)
    clips, step = [], 50
    for _ in range(min(10, number)):
        wave = np.cumsum(rng.standard_normal(48000 * SECONDS))  # as speech: low tones
        wave -= np.convolve(wave, np.ones(999) / 999, "same")
        file = io.BytesIO()
        soundfile.write(file, 0.3 * wave / np.abs(wave).max(), 48000, format="MP3")
        clips.append(file.getvalue())
    seconds: dict[str, list[float]] = {"ours": [], "plain": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shard = folder / "shard.parquet"
        audio = [
            {"bytes": clips[n % len(clips)], "path": f"{n}.mp3"}
            for n in range(number + step)
        ]
        pq.write_table(pa.table({"audio": audio}), shard, row_group_size=100)
        for first in range(0, number + step, step):
            rows = range(first, min(first + step, number + step))
            places = {f"{n}.mp3": (shard, n) for n in rows}
            start = time.process_time()
            found = ShardStore(folder / "ours", 1, places).add(places)
            seconds["ours"].append((time.process_time() - start) / len(rows))
            assert all(isinstance(f, Recording) for f in found.values())
            (folder / "plain").mkdir(exist_ok=True)
            start = time.process_time()
            for n, clip in zip(rows, read_clips(shard, rows)):
                wave, rate = soundfile.read(io.BytesIO(clip), dtype="float32")
                wave = soxr.resample(wave, rate, 16000)
                soundfile.write(folder / "plain" / f"{n}.flac", wave, 16000)
            seconds["plain"].append((time.process_time() - start) / len(rows))
    # In the first turn libraries are loaded.
    ours, plain = (np.array(turns[1:]) for turns in seconds.values())
    return {
        "ours_clips_per_cpu_second": float(np.median(1 / ours)),
        "plain_clips_per_cpu_second": float(np.median(1 / plain)),
        "ours_times_plain": float(np.median(plain / ours)),
    }


def main() -> None:
    """Run the benchmark."""
    args = get_parser().parse_args()
    if args.measure is not None:
        print(json.dumps(measure(args.measure, args.folder, args.scenario)))
        return
    figures: dict[str, Any] = {"rows": args.rows, "scenario": args.scenario}
    rows = []
    for corpus in args.corpora:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            MAKE[corpus](folder, args)
            found = measure_apart(corpus, folder, args.scenario)
        figures |= {f"{corpus}_{key}": value for key, value in found.items()}
        rows.append([corpus, *(f"{value:.3g}" for value in found.values())])
    figures |= decode(args.clips, args.seed)
    print_report(
        f"Stage 1 without audio work, {args.rows} rows (made up), one process",
        ["corpus", "wall seconds", "CPU seconds", "peak GB"],
        rows,
        figures,
    )


if __name__ == "__main__":
    main()
