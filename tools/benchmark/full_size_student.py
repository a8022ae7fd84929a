#!/usr/bin/env python3
"""Students of XLS-R's sizes, random weights: parameters, memory and time.

Proves on this machine that a full-size student can be distilled: the model is built
from the configuration of the published checkpoint, without its weights, and trained
for a few updates. The figures of quality that such weights give mean nothing.
"""

import argparse
import subprocess
import sys
import time

import torch
from report import peak_memory, print_report

# Sizes of Babu et al., "XLS-R", arXiv 2111.09296, Table 2.
SIZES = {
    "300M": dict(hidden_size=1024, num_hidden_layers=24, intermediate_size=4096),
    "1B": dict(hidden_size=1280, num_hidden_layers=48, intermediate_size=5120),
    "2B": dict(hidden_size=1920, num_hidden_layers=48, intermediate_size=7680),
}
COMMON = dict(
    model_type="wav2vec2",
    num_attention_heads=16,
    feat_extract_norm="layer",
    do_stable_layer_norm=True,
    conv_bias=True,
    layerdrop=0.0,
    mask_time_prob=0.5,
    mask_feature_prob=0.25,
    mask_feature_length=64,
)


def build(size: str, dtype: str, gradient_checkpointing: bool):
    """Student and optimiser, as train_samu.yaml makes them."""
    from espnet_samu.encoder.passthrough import PassthroughEncoder
    from espnet_samu.frontend.samu import SamuFrontend
    from espnet_samu.loss.cosine import CosineLoss
    from espnet_samu.pooling.attention import AttentionPooling
    from espnet_samu.projector.tanh import TanhProjector
    from espnet_samu.samu_model import ESPnetSAMUModel

    torch.manual_seed(0)
    frontend = SamuFrontend(
        model_conf={**COMMON, **SIZES[size]},
        dtype=dtype,
        gradient_checkpointing=gradient_checkpointing,
    )
    width = frontend.output_size()
    return ESPnetSAMUModel(
        frontend,
        PassthroughEncoder(input_size=width),
        AttentionPooling(input_size=width),
        TanhProjector(input_size=width, output_size=768),
        {"cosine": CosineLoss()},
        {"cosine": 1.0},
    ).train()


def run(args: argparse.Namespace) -> None:
    """Train one size in this process and print its report."""
    from espnet_samu.layers.trainable import count_parameters

    start = time.perf_counter()
    model = build(args.size, args.dtype, args.gradient_checkpointing)
    seconds_build = time.perf_counter() - start
    counts = count_parameters(model)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=1e-4, betas=(0.9, 0.98))
    samples = int(args.seconds * 16000)
    speech = torch.randn(args.batch_size, samples) * 0.1
    lengths = torch.full((args.batch_size,), samples)
    teacher = torch.nn.functional.normalize(torch.randn(args.batch_size, 768))
    updates, losses = [], []
    for _ in range(args.updates):
        start = time.perf_counter()
        loss, _, _ = model(speech, lengths, teacher)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        updates.append(time.perf_counter() - start)
        losses.append(loss.item())
        assert torch.isfinite(norm), "gradients are not finite"
    peak = peak_memory()
    figures = {
        "size": args.size,
        "dtype": args.dtype,
        "gradient_checkpointing": args.gradient_checkpointing,
        "batch_size": args.batch_size,
        "seconds_of_audio": args.seconds,
        "parameters": {k: c._asdict() for k, c in counts.items()},
        "seconds_build": seconds_build,
        "seconds_by_update": updates,
        "loss_by_update": losses,
        "peak_gib": peak,
    }
    rows = [
        [name, f"{c.total / 1e6:.1f}", f"{c.trainable / 1e6:.1f}"]
        for name, c in counts.items()
    ]
    rows.append(["seconds to build", f"{seconds_build:.1f}", ""])
    rows += [[f"seconds, update {i}", f"{s:.1f}", ""] for i, s in enumerate(updates, 1)]
    rows.append(["peak memory, GiB", f"{peak:.1f}", ""])
    print_report(
        f"Student of XLS-R {args.size}'s configuration, random weights: "
        f"{args.updates} updates on {args.batch_size} x {args.seconds:g} s, "
        f"{args.dtype}, gradient checkpointing {args.gradient_checkpointing}",
        ["module", "parameters, M", "trained, M"],
        rows,
        figures,
    )


def main() -> None:
    """Run each size in a process of its own, so that peaks are its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--size", choices=SIZES, nargs="+", default=["300M"])
    parser.add_argument("--updates", type=int, default=3)
    parser.add_argument("--batch_size", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20.0, help="Audio of each")
    parser.add_argument("--dtype", default="float32", help="Autocast of the encoder")
    parser.add_argument("--gradient_checkpointing", action="store_true")
    args = parser.parse_args()
    if len(args.size) == 1:
        args.size = args.size[0]
        run(args)
        return
    for size in args.size:
        skip = sys.argv.index("--size")
        others = sys.argv[1:skip] + sys.argv[skip + 1 + len(args.size) :]
        subprocess.run([sys.executable, __file__, "--size", size, *others], check=True)


if __name__ == "__main__":
    main()
