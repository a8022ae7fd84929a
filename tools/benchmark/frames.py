#!/usr/bin/env python3
"""A frozen encoder that runs once: epochs with its frames kept and without.

``mini``: the translation model of egs2/mini_asterisk. ``300M``: XLS-R 300M's size and
mBART-50's decoder with 16,000 tokens, LNA-D. ``--model FOLDER``: a distillation with an
encoder of its own behind that one. Random weights but FOLDER's, noise for speech. The
first epoch computes and keeps the frames, the second reads them.
"""

import argparse
import json
import tempfile
from pathlib import Path

import full_size
import torch
import yaml
from report import clock_of, print_report

CONF = Path(__file__).parents[2] / "egs2/mini_asterisk/samu_st1/conf/train_st.yaml"


def mini_model():
    """The mini recipe's translation model."""
    from espnet_samu.decoder.mbart import MBartDecoder
    from espnet_samu.frontend.samu import SamuFrontend

    conf = yaml.safe_load(CONF.read_text(encoding="utf-8"))
    frontend = SamuFrontend(**conf["frontend_conf"])
    size = frontend.output_size()
    return full_size.assemble(
        frontend, MBartDecoder(60, size, **conf["decoder_conf"]), 60, size
    )


def full_size_model():
    """XLS-R 300M's size, frozen, and mBART-50's decoder, LNA-D."""
    options = ["--vocab", "16000", "--trainable", "lna_d"]
    model = full_size.build(full_size.get_parser().parse_args(options))
    model.frontend.requires_grad_(False)
    return model


def student(folder: str):
    """A student of a frozen encoder and two layers of ESPnet's transformer."""
    from espnet2.asr.encoder.transformer_encoder import TransformerEncoder

    from espnet_samu.frontend.samu import SamuFrontend
    from espnet_samu.projector.tanh import TanhProjector

    frontend = SamuFrontend(model=folder, freeze=True)
    encoder = TransformerEncoder(
        frontend.output_size(), output_size=256, num_blocks=2, input_layer="linear"
    )
    projector = TanhProjector(input_size=256, output_size=384)
    return full_size.assemble_student(frontend, projector, encoder)


def epoch(model, batches) -> float:
    """Train on all batches; returns seconds."""
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=1e-4)
    clock = clock_of(batches[0][0].device)
    start = clock()
    for batch in batches:
        loss, _, _ = model(*batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return clock() - start


def measure(args: argparse.Namespace) -> dict:
    """Return the figures of one model."""
    from espnet_samu.frontend.frames_cache import DTYPES, FramesCache, used_bytes

    torch.manual_seed(0)
    if args.model:
        model = student(args.model)
    else:
        model = {"mini": mini_model, "300M": full_size_model}[args.size]()
    model.to(args.device).train()
    samples = int(args.seconds * 16000)
    batches = []
    for _ in range(args.batches):
        speech = torch.randn(args.batch_size, samples) * 0.1
        lengths = torch.full((args.batch_size,), samples)
        if args.model:
            embed = torch.nn.functional.normalize(torch.randn(args.batch_size, 384))
            batches.append((speech, lengths, embed))
        else:
            text = full_size.random_text(model, speech, args.tokens)
            batches.append((speech, lengths, *text))
    batches = [tuple(part.to(args.device) for part in batch) for batch in batches]
    epoch(model, batches[:1])  # what is allocated once
    without = epoch(model, batches)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "encoder")
        cache = FramesCache(
            path, model.frontend.output_size(), DTYPES[args.dtype], 10**11
        )
        model.frontend.cache = cache
        computing, reading = (epoch(model, batches) for _ in range(2))
        size = used_bytes(Path(folder))
        cache.close()
    hours = args.batches * args.batch_size * args.seconds / 3600
    return {
        "seconds_without": without,
        "seconds_first_epoch": computing,
        "seconds_later_epochs": reading,
        "times_as_fast": without / reading,
        "first_epoch_over_without": computing / without,
        "gb_per_hour_of_speech": size / 1e9 / hours,
    }


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--size", choices=["mini", "300M"], default="mini")
    parser.add_argument("--model", help="Folder or hub id of an encoder to distil")
    parser.add_argument("--batches", type=int, default=10)
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=3.0, help="Of each utterance")
    parser.add_argument("--tokens", type=int, default=15, help="Of each translation")
    parser.add_argument("--dtype", default="float16", help="Type that is stored")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    return parser


def main() -> None:
    """Run from the command line."""
    args = get_parser().parse_args()
    torch.set_num_threads(args.threads)
    figures = measure(args)
    print_report(
        f"{args.model or args.size}, encoder frozen: epochs of {args.batches} batches "
        f"of {args.batch_size} x {args.seconds:g} s, {args.dtype}",
        ["", "figure"],
        [[name.replace("_", " "), f"{value:.2f}"] for name, value in figures.items()],
        {**json.loads(json.dumps(vars(args))), **figures},
    )


if __name__ == "__main__":
    main()
