#!/usr/bin/env python3
"""Time and memory of balanced batches, beside ESPnet's samplers."""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from report import peak_memory, print_report, time_pairwise

from espnet_samu.scoring.table import format_table

# CoVoST-2, X to English: utterances for training. Only the proportions are used.
_COVOST = {
    **{"fr": 207374, "de": 127834, "es": 79015, "ca": 95854, "it": 31698},
    **{"ru": 12112, "zh": 7085, "pt": 9158, "fa": 53949, "et": 1782, "mn": 2067},
    **{"nl": 7108, "tr": 3966, "ar": 2283, "sv": 2160, "lv": 2337, "sl": 1843},
    **{"ta": 1358, "ja": 1119, "id": 1243, "cy": 1241},
}
_FILES = ("speech_shape", "text_shape")


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description="Time the balanced sampler on made-up shape files of CoVoST-2's "
        "proportions, and at a smaller size the same beside ESPnet's numel and catpow "
        "samplers (catpow reads one shape file only).",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--utterances", type=int, default=10000000, help="Size of the large corpus"
    )
    parser.add_argument(
        "--pairwise_utterances",
        type=int,
        default=200000,
        help="Size of the corpus for the comparison with ESPnet",
    )
    parser.add_argument(
        "--batch_bins", type=int, default=1280000, help="Size of a batch, elements"
    )
    parser.add_argument(
        "--upsampling_factor", type=float, default=0.05, help="The exponent alpha"
    )
    parser.add_argument("--repeats", type=int, default=3, help="Timed calls of each")
    # How the script calls itself, a process for each figure of memory.
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser


def make_corpus(folder: Path, n_utterances: int) -> None:
    """Write shape files, utt2lang and category2utt of a made-up corpus; seed 0."""
    rng = np.random.default_rng(0)
    counts = np.array(list(_COVOST.values()))
    sizes = np.maximum(1, counts * n_utterances // counts.sum())
    sizes[0] += n_utterances - sizes.sum()
    names = [open(folder / name, "w") for name in (*_FILES, "utt2lang")]
    with names[0] as speech, names[1] as text, names[2] as utt2lang:
        with open(folder / "category2utt", "w") as category2utt:
            for language, size in sorted(zip(_COVOST, sizes)):
                seconds = np.clip(rng.lognormal(1.6, 0.4, size), 1, 20)
                samples = (16000 * seconds).astype(int).tolist()
                tokens = (4 * seconds * rng.uniform(0.5, 1.5, size)).astype(int) + 1
                name = f"{language}_common_voice_{language}_"
                utts = [f"{name}{i:08d}" for i in range(size)]
                speech.writelines(f"{u} {n}\n" for u, n in zip(utts, samples))
                text.writelines(f"{u} {n},30\n" for u, n in zip(utts, tokens.tolist()))
                utt2lang.writelines(f"{u} {language}\n" for u in utts)
                category2utt.write(f"{language} {' '.join(utts)}\n")


def peak_gb() -> float:
    """Largest resident memory of this process so far, in GB."""
    return peak_memory() * 2**30 / 1e9


def build_ours(args: argparse.Namespace, files: Iterable[str] = _FILES) -> Any:
    """Read the files and build our sampler."""
    from espnet_samu.samplers.balanced_sampler import BalancedSampler
    from espnet_samu.samplers.data_files import read_languages, read_shapes

    shapes = read_shapes([f"{args.folder}/{name}" for name in files])
    languages = read_languages(args.folder / "utt2lang", shapes.utterances)
    return BalancedSampler(shapes, languages, args.upsampling_factor, args.batch_bins)


def list_batches(sampler: str, args: argparse.Namespace) -> list[tuple[str, ...]]:
    """Read the files and make all batches of an epoch, lists of names."""
    if sampler.startswith("ours"):
        files = _FILES[:1] if sampler == "ours_1_file" else _FILES
        batches = build_ours(args, files).batches(1)
        return list(batches.read(0, len(batches)))
    if sampler == "numel":
        from espnet2.samplers.num_elements_batch_sampler import NumElementsBatchSampler

        files = [f"{args.folder}/{name}" for name in _FILES]
        return list(NumElementsBatchSampler(args.batch_bins, files))
    from espnet2.samplers.category_power_sampler import CategoryPowerSampler

    power = CategoryPowerSampler(
        args.batch_bins,
        [f"{args.folder}/speech_shape"],
        upsampling_factor=args.upsampling_factor,
        dataset_scaling_factor=1.0,
        category2utt_file=f"{args.folder}/category2utt",
    )
    return list(power)


def measure_large(args: argparse.Namespace) -> dict[str, float]:
    """Seconds of each step of ours on the large corpus, and memory."""
    import torch  # noqa: F401  in training it is there

    from espnet_samu.samplers.balanced_sampler import BalancedSampler
    from espnet_samu.samplers.data_files import read_languages, read_shapes

    figures = {"peak_gb_imports": peak_gb()}
    start, start_cpu = time.perf_counter(), time.process_time()

    def step(name: str) -> None:
        nonlocal start, start_cpu
        figures[f"{name}_s"] = time.perf_counter() - start
        figures[f"{name}_cpu_s"] = time.process_time() - start_cpu
        start, start_cpu = time.perf_counter(), time.process_time()

    shapes = read_shapes([f"{args.folder}/{name}" for name in _FILES])
    step("read_shapes")
    languages = read_languages(args.folder / "utt2lang", shapes.utterances)
    step("read_languages")
    sampler = BalancedSampler(
        shapes, languages, args.upsampling_factor, args.batch_bins
    )
    step("build")
    for epoch in (1, 2):
        batches = sampler.batches(epoch)
        step(f"epoch_{epoch}")
    for _ in batches.read(0, len(batches)):
        pass
    step("all_names")
    return {
        **figures,
        "peak_gb": peak_gb(),
        "batches": len(batches),
        "padding": batches.padding(),
    }


def measure_pairwise(args: argparse.Namespace) -> dict[str, float]:
    """Seconds of all samplers on the small corpus, in turn."""
    names = ("ours", "numel", "ours_1_file", "catpow")
    functions = {name: lambda name=name: list_batches(name, args) for name in names}
    return time_pairwise(functions, args.repeats)


def measure_one(args: argparse.Namespace) -> dict[str, float]:
    """Memory and batches of one sampler on the small corpus."""
    import torch  # noqa: F401  in training it is there for all

    batches = list_batches(args.measure, args)
    figures = {"peak_gb": peak_gb(), "batches": len(batches)}

    from espnet_samu.samplers.data_files import read_shapes

    shapes = read_shapes([f"{args.folder}/{name}" for name in _FILES])
    utterances = (u.decode() for u in shapes.utterances.tolist())
    rows = dict(zip(utterances, shapes.elements(np.arange(len(shapes.utterances)))))
    n_files = 2 if args.measure in ("ours", "numel") else 1
    elements = [np.stack([rows[u][:n_files] for u in batch]) for batch in batches]
    sizes = np.array([len(e) * e.max(axis=0).sum() for e in elements])
    speech = [e[:, 0] for e in elements]
    padded = sum(len(s) * s.max() for s in speech)
    drawn = [u for batch in batches for u in batch]
    return {
        **figures,
        "utterances": len(drawn),
        "speech_padding": float(1 - sum(s.sum() for s in speech) / padded),
        "over_batch_bins": float((sizes > args.batch_bins).mean()),
        "largest_over_batch_bins": float(sizes.max() / args.batch_bins),
        "share_fr": sum(u.startswith("fr_") for u in drawn) / len(drawn),
        "share_cy": sum(u.startswith("cy_") for u in drawn) / len(drawn),
    }


def run(what: str, folder: str, args: argparse.Namespace) -> Any:
    """Run one step in a process of its own and return what it prints."""
    command = [sys.executable, __file__, "--measure", what, "--folder", folder]
    for name in ("batch_bins", "upsampling_factor", "repeats"):
        command += [f"--{name}", str(getattr(args, name))]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def report_large(large: dict[str, float], utterances: int) -> None:
    """Print the table of the large corpus."""
    print(
        f"\nBalanced sampler, {utterances} made-up utterances of 21 languages, 2 shape "
        "files, one process\n"
    )
    rows = [[name, f"{value:.3f}"] for name, value in large.items()]
    print(format_table(("figure", "value"), rows))


def main() -> None:
    """Run the benchmark."""
    args = get_parser().parse_args()
    if args.measure is not None:
        functions = {"large": measure_large, "pairwise": measure_pairwise}
        measure = functions.get(args.measure, measure_one)
        print(json.dumps(measure(args)))
        return

    with tempfile.TemporaryDirectory() as folder:
        make_corpus(Path(folder), args.utterances)
        large = run("large", folder, args)
    report_large(large, args.utterances)
    size = args.pairwise_utterances
    with tempfile.TemporaryDirectory() as folder:
        make_corpus(Path(folder), size)
        seconds = run("pairwise", folder, args)
        small = {name: run(name, folder, args) for name in seconds}

    rows = []
    figures = {
        "utterances": args.utterances,
        "pairwise_utterances": size,
        "batch_bins": args.batch_bins,
        "upsampling_factor": args.upsampling_factor,
        **{f"large_{key}": value for key, value in large.items()},
    }
    for name, row in small.items():
        reference = {"ours": "numel", "ours_1_file": "catpow"}.get(name, name)
        ratio = seconds[reference] / seconds[name]
        figures |= {f"{name}_s": seconds[name], f"{name}_ratio": ratio}
        figures |= {f"{name}_{key}": value for key, value in row.items()}
        rows.append(
            [name, f"{seconds[name]:.2f}", f"{ratio:.2f}", f"{row['peak_gb']:.2f}"]
            + [f"{row['batches']:.0f}", f"{100 * row['speech_padding']:.1f}"]
            + [f"{100 * row['over_batch_bins']:.1f}"]
            + [f"{row['largest_over_batch_bins']:.2f}"]
            + [f"{100 * row['share_fr']:.1f}", f"{100 * row['share_cy']:.2f}"]
        )
    print_report(
        f"Reading, and the batches of an epoch as lists of names, in turn, {size} "
        "made-up utterances; ours beside numel (2 shape files), ours_1_file beside "
        "catpow (1 shape file)",
        (
            "sampler",
            "seconds",
            "times as fast",
            "peak GB",
            "batches",
            "speech padding %",
            "batches over batch_bins %",
            "largest / batch_bins",
            "fr %",
            "cy %",
        ),
        rows,
        figures,
    )


if __name__ == "__main__":
    main()
