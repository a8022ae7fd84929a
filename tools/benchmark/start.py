#!/usr/bin/env python3
"""Start of a service: from nothing to a packed model that is ready.

(base)   a process that imports torch and transformers, and no more
(ours)   a process that calls Speech2Text.from_pretrained

The model is tiny: what is measured is imports. The processes run in turn, and CPU time
is compared, which other work on the machine changes less than the clock's.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from report import print_report

PROGRAMS = {
    "base": "import torch, transformers",
    "ours": "from espnet_samu.speech2text import Speech2Text\n"
    "import sys\n"
    "Speech2Text.from_pretrained(sys.argv[1])",
}
GOAL = 2.0
"""Greatest CPU time of ours, in times of base."""

_ENCODER = {
    "model_type": "wav2vec2",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "conv_dim": [16] * 7,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
}
_DECODER = {"d_model": 16, "decoder_layers": 1, "decoder_attention_heads": 2}


def make_pack(folder: Path) -> Path:
    """Write a packed model of random weights into a folder; return its zip file."""
    import torch

    from espnet_samu.bin.pack import write_pack
    from espnet_samu.tasks.st import STTask

    tokens = ["<blank>", "<unk>", *"abcdefgh", "<sos/eos>"]
    (folder / "tokens.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    config = {
        "token_type": "char",
        "token_list": f"{folder}/tokens.txt",
        "frontend": "samu",
        "frontend_conf": {"model_conf": _ENCODER},
        "encoder": "passthrough",
        "decoder": "mbart",
        "decoder_conf": {"model_conf": _DECODER},
        "model_conf": {"report_bleu": False},
    }
    (folder / "train.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    exp = folder / "exp"
    cmd = [f"--config={folder}/train.yaml", f"--output_dir={exp}", "--dry_run=true"]
    STTask.main(cmd=cmd)
    model, _ = STTask.build_model_from_file(exp / "config.yaml")
    torch.save(model.state_dict(), exp / "model.pth")
    write_pack(
        folder / "model.zip",
        {"st_model_file": f"{exp}/model.pth"},
        {"st_train_config": f"{exp}/config.yaml"},
    )
    return folder / "model.zip"


def measure(name: str, folder: Path) -> tuple[float, float]:
    """Run one of the programs on a folder's pack; return its CPU and clock seconds."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", PROGRAMS[name], str(folder / "model.zip")],
        env={**os.environ, "HOME": str(folder), "OMP_NUM_THREADS": "1"},
        check=True,
    )
    clock = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, clock


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3, help="Default: 3")
    args = parser.parse_args()
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in PROGRAMS}
    with tempfile.TemporaryDirectory() as folder:
        make_pack(Path(folder))
        # The first turn fills the disk's cache, and unpacks the model.
        for turn in range(args.repeats + 1):
            for name in PROGRAMS:
                measured = measure(name, Path(folder))
                if turn > 0:
                    seconds[name].append(measured)
    cpu = {name: statistics.median(c for c, _ in seconds[name]) for name in PROGRAMS}
    clock = {name: statistics.median(w for _, w in seconds[name]) for name in PROGRAMS}
    ratio = cpu["ours"] / cpu["base"]
    rows = [
        [
            label,
            f"{cpu[name]:.1f}",
            f"{clock[name]:.1f}",
            f"{cpu[name] / cpu['base']:.2f}",
        ]
        for name, label in (
            ("base", "import torch, transformers"),
            ("ours", "Speech2Text.from_pretrained"),
        )
    ]
    print_report(
        f"Start of a process, median of {args.repeats}; goal: {GOAL:g} times base",
        ["program", "CPU s", "clock s", "times base"],
        rows,
        {"cpu_seconds": cpu, "clock_seconds": clock, "ratio": ratio, "goal": GOAL},
    )


if __name__ == "__main__":
    main()
