#!/usr/bin/env python3
"""Search of our scorer against a whole N x N matrix and against faiss's flat index."""

import argparse
import importlib.util
import multiprocessing
import os
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from report import peak_memory, print_report

from espnet_samu.retrieval.nearest import UnitVectors, search
from espnet_samu.scoring.table import format_number

METHODS = {
    "ours": "ours: ranks and k neighbours",
    "ranks": "ours: ranks alone (recall_at_1)",
    "naive": "numpy, whole matrix: ranks and k neighbours",
    "faiss": "faiss IndexFlatIP: k neighbours, no ranks",
}
NAIVE_BYTES = 22
"""Of a pair of the naive search: cosines, mask, copy and order of the neighbours."""


def make_vectors(size: int, dim: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Return unit vectors (N, D) of utterances and of their texts; random, seed 0.

    Args:
        size: N.
        dim: D.
        noise: Standard deviation of what is added to a text to make an utterance; that
            of the texts is 1.
    """
    generator = np.random.default_rng(0)
    speech, text = (np.empty((size, dim), dtype=np.float32) for _ in range(2))
    for start in range(0, size, 4096):  # so that the peak of memory is not made here
        rows = slice(start, start + 4096)
        for vectors in (text, speech):
            vectors[rows] = generator.standard_normal(vectors[rows].shape)
        speech[rows] = text[rows] + noise * speech[rows]
        for vectors in (text, speech):
            vectors[rows] /= np.linalg.norm(vectors[rows], axis=1, keepdims=True)
    return speech, text


def naive(speech: np.ndarray, text: np.ndarray, k: int) -> list[np.ndarray]:
    """Return ranks of both directions from the whole matrix of cosines."""
    cosine = speech @ text.T
    ranks = []
    for table in (cosine, cosine.T):
        wrong_nearer = table >= np.diag(table)[:, None]
        np.fill_diagonal(wrong_nearer, False)
        ranks.append(1 + np.count_nonzero(wrong_nearer, axis=1))
        nearest = np.argpartition(table, -k, axis=1)[:, -k:]
        np.take_along_axis(table, nearest, axis=1)
    return ranks


def faiss_search(speech: np.ndarray, text: np.ndarray, k: int) -> list[np.ndarray]:
    """Return the nearest candidate of both directions."""
    import faiss

    faiss.omp_set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count())))
    nearest = []
    for queries, pool in ((speech, text), (text, speech)):
        index = faiss.IndexFlatIP(pool.shape[1])
        index.add(pool)
        nearest.append(index.search(queries, k)[1][:, 0])
    return nearest


def ours(speech: np.ndarray, text: np.ndarray, k: int) -> list[np.ndarray]:
    """Return ranks of both directions."""
    numbers = np.arange(len(speech))
    found = search(UnitVectors(speech), UnitVectors(text), numbers, numbers, k)
    return [found[0].rank, found[1].rank]


def run(method: str, size: int, dim: int, noise: float, k: int) -> dict[str, float]:
    """Measure a method in a process of its own.

    Returns:
        `seconds` by the clock, `cpu` seconds, `memory` in GB beyond the vectors,
        `r1` and `mrr` (nan for faiss) of speech to text.
    """
    functions: dict[str, Callable[..., list[np.ndarray]]] = {
        "ours": ours,
        "ranks": lambda speech, text, _: ours(speech, text, 0),
        "naive": naive,
        "faiss": faiss_search,
    }
    functions[method](*make_vectors(512, dim, noise), k)  # imports and threads
    vectors = make_vectors(size, dim, noise)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    held = pages * resource.getpagesize() / 2**30
    start, cpu = time.perf_counter(), time.process_time()
    found = functions[method](*vectors, k)[0]
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    right = found == (np.arange(size) if method == "faiss" else 1)
    return {
        "seconds": seconds,
        "cpu": cpu,
        "memory": (peak_memory() - held) * 2**30 / 1e9,
        "r1": float(np.mean(right)),
        "mrr": float("nan") if method == "faiss" else float(np.mean(1.0 / found)),
    }


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description="Both directions of retrieval between N utterances and N texts, "
        "random vectors. On a core of 160 GFLOPS in single precision ours takes about "
        "8 CPU seconds for 20000 and 190 for 100000, whose vectors take 0.6 GB; the "
        "others take longer. Faiss leaves ties to its order. The naive search is "
        "left out where its matrix does not fit, faiss where it is not installed. "
        "Threads: OMP_NUM_THREADS.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--size", type=int, default=20_000, help="N")
    parser.add_argument("--dim", type=int, default=768, help="D")
    parser.add_argument("--k", type=int, default=4, help="Neighbours")
    parser.add_argument(
        "--noise",
        type=float,
        default=6.0,
        help="Noise of utterances, standard deviations of the texts: the less, the "
        "more of them find their text",
    )
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=METHODS,
        default=[*METHODS],
        help="; ".join(f"{name} = {label}" for name, label in METHODS.items()),
    )
    parser.add_argument("--repeats", type=int, default=3, help="Runs of each, in turn")
    parser.add_argument(
        "--naive_memory", type=float, default=10.0, help="GB that the matrix may take"
    )
    return parser


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    args = get_parser().parse_args(cmd)
    left_out = set(METHODS) - {"ours", *args.methods}
    if NAIVE_BYTES * args.size**2 > 1e9 * args.naive_memory:
        left_out.add("naive")
    if importlib.util.find_spec("faiss") is None:
        left_out.add("faiss")
    methods = [method for method in METHODS if method not in left_out]
    runs: dict[str, list[dict[str, float]]] = {method: [] for method in methods}
    context = multiprocessing.get_context("spawn")
    for _ in range(args.repeats):
        for method in methods:
            with context.Pool(1) as workers:
                setting = (method, args.size, args.dim, args.noise, args.k)
                runs[method].append(workers.apply(run, setting))
    medians: dict[str, dict[str, float]] = {
        method: {name: statistics.median(r[name] for r in found) for name in found[0]}
        for method, found in runs.items()
    }
    rows = []
    figures: dict[str, Any] = {"repeats": args.repeats}
    for method, label in METHODS.items():
        values = medians.get(method, {})
        cells = [("seconds", 2), ("cpu", 2), ("memory", 2), ("r1", 4), ("mrr", 4)]
        value = {
            name: None if np.isnan(values.get(name, np.nan)) else values[name]
            for name, _ in cells
        }
        ratio = values["cpu"] / medians["ours"]["cpu"] if values else None
        rows.append(
            [label]
            + [format_number(value[name], digits) for name, digits in cells]
            + [format_number(ratio, 2)]
        )
        figures[method] = {**value, "cpu_ratio_to_ours": ratio}
    print_report(
        f"Retrieval, both directions: {args.size} x {args.size} random vectors of "
        f"{args.dim}, k = {args.k}",
        ["search", "s", "CPU s", "GB", "R@1", "MRR", "CPU / ours"],
        rows,
        figures,
    )


if __name__ == "__main__":
    main()
