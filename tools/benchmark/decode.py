#!/usr/bin/env python3
"""Beam search over encoded speech: ESPnet's, transformers' and both of ours.

(espnet)      HuggingFaceTransformersDecoder in ESPnet's BatchBeamSearch, as
              st_inference builds them: no cache.
(raw)         transformers' generate, called without this project.
(generate)    backend generate: the same, with our limits and scores.
(int8)        generate with quantize: true.
(beam_search) backend beam_search: ESPnet's search over the cached scorer.

All read the same random weights and the same random frames. The embedding is scaled
so that tokens differ in probability, as a trained model's do: our choice, and nothing
else here is like a trained model. The least number of tokens is the greatest one (two
fewer for ESPnet, which drops what ends too early and would have nothing left), so that
all make the same number of steps. With one thread it is CPU time. Real-time factors are
of the decoder alone, a frame every 20 ms. beam_search over generate decides what
backend: auto is on a CPU.
"""

import argparse
import copy
import re
import tempfile
import time
from types import SimpleNamespace

import torch
from report import print_report, time_pairwise
from transformers.utils import logging

from espnet_samu.scoring.table import format_table

BEAM = 5
FRAME_SECONDS = 0.02
DEFAULT = "32000:60:1:espnet 32000:60:8 250054:60:1 250054:60:8 16000:60:1"
GOALS = {
    "generate_over_raw": ("speed of generate, times raw", 0.95),
    "generate_over_raw_250054_8": ("the same, 250,054 rows, batch of 8", 1.0),
    "beam_search_over_generate": ("speed of beam_search, times generate", 1.0),
    "beam_search_over_espnet": ("speed of beam_search, times espnet", 4.0),
    "batch_8_over_1_generate": ("batch of 8, times batch of 1, generate", 1.5),
    "batch_8_over_1_beam_search": ("batch of 8, times batch of 1, beam_search", 1.5),
    "trimmed_over_full_generate": ("16,000 rows, times 250,054, generate", 2.0),
    "trimmed_over_full_beam_search": ("16,000 rows, times 250,054, beam_search", 2.0),
}


def build(vocab: int, dim: int, layers: int, sharpness: float, positions: int):
    """The same random weights as transformers', ESPnet's and our decoder."""
    from espnet2.asr.decoder.hugging_face_transformers_decoder import (
        HuggingFaceTransformersDecoder,
    )
    from transformers import MBartConfig, MBartForConditionalGeneration

    from espnet_samu.decoder.mbart import MBartDecoder

    torch.manual_seed(0)
    config = MBartConfig(
        vocab_size=vocab,
        d_model=dim,
        encoder_layers=1,
        decoder_layers=layers,
        encoder_attention_heads=max(1, dim // 64),
        decoder_attention_heads=max(1, dim // 64),
        encoder_ffn_dim=dim,
        decoder_ffn_dim=4 * dim,
        max_position_embeddings=positions,
        scale_embedding=True,
        forced_eos_token_id=None,
        decoder_start_token_id=2,
    )
    plain = MBartForConditionalGeneration(config).eval()
    plain.model.shared.weight.data *= sharpness
    with tempfile.TemporaryDirectory() as folder:
        plain.save_pretrained(folder)
        ours = MBartDecoder(vocab, dim, model=folder).eval()
        theirs = HuggingFaceTransformersDecoder(vocab, dim, folder).eval()
    # As st_inference does, but for reading the weights once more.
    theirs.hf_generate = plain
    return plain, theirs, ours


def searches(plain, theirs, ours, vocab, frames, length):
    """Functions of no argument that translate the frames; n best of each utterance."""
    from espnet2.legacy.nets.batch_beam_search import BatchBeamSearch
    from transformers.modeling_outputs import BaseModelOutput

    from espnet_samu.decoding.beam_search import FusionSearch
    from espnet_samu.decoding.search import GenerateSearch, SearchSettings
    from espnet_samu.layers.adapters import quantize_linear

    settings = SearchSettings(
        beam_size=BEAM, nbest=BEAM, maxlenratio=-length, minlenratio=-length
    )
    model = SimpleNamespace(
        decoder=ours, token_list=["t"] * vocab, sos=2, eos=2, st_ctc=None
    )
    lengths = torch.full((len(frames),), frames.size(1), device=frames.device)
    espnet = BatchBeamSearch(
        {"decoder": theirs},
        {"decoder": 1.0},
        beam_size=BEAM,
        vocab_size=vocab,
        sos=2,
        eos=2,
        pre_beam_score_key="full",
        normalize_length=True,
    ).eval()

    def raw(output_scores=False):
        return plain.generate(
            encoder_outputs=BaseModelOutput(frames),
            attention_mask=torch.ones_like(frames[..., 0], dtype=torch.long),
            num_beams=BEAM,
            num_return_sequences=BEAM,
            min_new_tokens=length,
            max_new_tokens=length,
            do_sample=False,
            length_penalty=1.0,
            return_dict_in_generate=True,
            output_scores=output_scores,
        )

    @torch.no_grad()
    def by_espnet():
        return [espnet(x, -float(length), -float(length - 2)) for x in frames]

    generate = GenerateSearch(model, settings)
    beam_search = FusionSearch(model, settings)
    functions = {
        "espnet": by_espnet,
        "raw": raw,
        "generate": lambda: generate(frames, lengths),
        "beam_search": lambda: beam_search(frames, lengths),
    }
    if frames.device.type == "cpu":
        small = torch.nn.ModuleDict({"decoder": copy.deepcopy(ours)})
        quantize_linear(small)
        int8 = SimpleNamespace(**{**vars(model), "decoder": small["decoder"]})
        quantized = GenerateSearch(int8, settings)
        functions["int8"] = lambda: quantized(frames, lengths)
    return functions


def agreement(functions, n_utterances: int, with_espnet: bool) -> dict:
    """First tokens that are those of transformers', and differences of scores."""
    output = functions["raw"](output_scores=True)
    tokens = output.sequences[:, 1:].view(n_utterances, BEAM, -1).tolist()
    scores = output.sequences_scores.view(n_utterances, BEAM).tolist()
    found = {}
    for name in ("generate", "beam_search"):
        results = functions[name]()
        pairs = [
            (one.tokens, one.score, other[: len(one.tokens)], score)
            for best, others, theirs in zip(results, tokens, scores)
            for one, other, score in zip(best, others, theirs)
        ]
        same = [sum(a == b for a, b in zip(x, y)) / len(y) for x, _, y, _ in pairs]
        found[f"same_tokens_{name}"] = sum(same) / len(same)
        found[f"score_difference_{name}"] = max(abs(s - t) for _, s, _, t in pairs)
    if with_espnet:
        results = functions["espnet"]()
        first = [best[0].yseq[1:].tolist() for best in results]
        same = [
            next((i for i, (a, b) in enumerate(zip(x, y[0])) if a != b), len(y[0]))
            for x, y in zip(first, tokens)
        ]
        found["first_same_tokens_espnet"] = min(same)
    return found


def measure(cell: str, args: argparse.Namespace) -> dict:
    """Figures of one cell, VOCAB:LENGTH:BATCH[:espnet]."""
    vocab, length, batch = map(int, cell.split(":")[:3])
    with_espnet = cell.endswith(":espnet")
    built = build(vocab, args.dim, args.layers, args.sharpness, max(256, length + 2))
    frames = torch.randn(batch, args.frames, args.dim)
    functions = searches(*built, vocab, frames, length)
    figures = {"vocab": vocab, "length": length, "batch": batch}
    # It warms up as well.
    figures.update(agreement(functions, batch, with_espnet))
    if not with_espnet:
        del functions["espnet"]
    # CPU time: other work on the machine does not count.
    clock = time.process_time if args.threads == 1 else time.perf_counter
    seconds = time_pairwise(functions, args.repeats, warmup=0, clock=clock)
    figures["seconds"] = seconds
    figures["generate_over_raw"] = seconds["raw"] / seconds["generate"]
    figures["int8_over_generate"] = seconds["generate"] / seconds["int8"]
    figures["beam_search_over_generate"] = seconds["generate"] / seconds["beam_search"]
    audio = batch * args.frames * FRAME_SECONDS
    figures["real_time_factor"] = {k: s / audio for k, s in seconds.items()}
    if with_espnet:
        ratio = seconds["espnet"] / seconds["beam_search"]
        figures["beam_search_over_espnet"] = ratio
    return figures


def compare(cells: dict) -> dict:
    """Ratios of cells that differ in one thing, and that of the largest batch."""
    ratios = {}
    largest = cells.get((250054, 60, 8))
    if largest:
        ratios["generate_over_raw_250054_8"] = largest["generate_over_raw"]
    for name in ("generate", "beam_search"):
        for cell in cells.values():
            key = cell["vocab"], cell["length"], cell["batch"]
            single = cells.get((key[0], key[1], 1))
            if key[2] == 8 and single:
                ratios[f"batch_8_over_1_{name}"] = (
                    8 * single["seconds"][name] / cell["seconds"][name]
                )
            full = cells.get((250054, key[1], key[2]))
            if key[0] == 16000 and full:
                ratios[f"trimmed_over_full_{name}"] = (
                    full["seconds"][name] / cell["seconds"][name]
                )
    return ratios


COLUMNS = (
    "cell,espnet,raw,generate,int8,beam_search,generate x raw,int8 x generate,"
    "beam_search x generate,beam_search x espnet,RTF: generate,beam_search,"
    "same tokens: generate,beam_search,difference of scores"
).split(",")


def row(figures: dict) -> list:
    """A cell's line of the table."""
    seconds, factors = figures["seconds"], figures["real_time_factor"]
    faster = figures.get("beam_search_over_espnet")
    return [
        f"{figures['vocab']:,} tokens, n {figures['length']}, batch {figures['batch']}",
        *(
            f"{seconds[name]:.2f}" if name in seconds else ""
            for name in ("espnet", "raw", "generate", "int8", "beam_search")
        ),
        f"{figures['generate_over_raw']:.2f}",
        f"{figures['int8_over_generate']:.2f}",
        f"{figures['beam_search_over_generate']:.2f}",
        "" if faster is None else f"{faster:.1f}",
        *(f"{factors[name]:.3f}" for name in ("generate", "beam_search")),
        f"{figures['same_tokens_generate']:.3f}",
        f"{figures['same_tokens_beam_search']:.3f}",
        f"{figures['score_difference_beam_search']:.0e}",
    ]


def parse_cell(text: str) -> str:
    """Return a cell's name if it is one."""
    if not re.fullmatch(r"\d+:\d+:\d+(:espnet)?", text):
        raise argparse.ArgumentTypeError(
            f"'{text}' must be VOCAB:LENGTH:BATCH[:espnet]; several: --cells A B C"
        )
    return text


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--cells",
        nargs="+",
        type=parse_cell,
        default=DEFAULT.split(),
        help="VOCAB:LENGTH:BATCH[:espnet] each, e.g. 250054:120:8. With :espnet its "
        f"path is run as well, which takes long. Default: {DEFAULT}",
    )
    parser.add_argument("--dim", type=int, default=512, help="Default: 512")
    parser.add_argument("--layers", type=int, default=6, help="Default: 6")
    parser.add_argument("--frames", type=int, default=150, help="Default: 150")
    parser.add_argument(
        "--sharpness",
        type=float,
        default=10.0,
        help="Factor of the embedding, which is the output layer. Default: 10",
    )
    parser.add_argument("--repeats", type=int, default=2, help="Default: 2")
    parser.add_argument("--threads", type=int, default=1, help="Default: 1")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    # They list the weights of text encoders as not used.
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    cells = {}
    for cell in args.cells:
        figures = measure(cell, args)
        cells[figures["vocab"], figures["length"], figures["batch"]] = figures
    ratios = compare(cells)
    settings = (
        f"beam {BEAM}, decoder of random weights, d {args.dim}, {args.layers} layers, "
        f"{args.frames} frames, {args.threads} thread(s)"
    )
    print(f"\nSeconds: {settings}\n")
    print(format_table(COLUMNS, [row(figures) for figures in cells.values()], 1))
    for name in GOALS:
        values = [f[name] for k, f in cells.items() if name in f and f["length"] == 60]
        # ESPnet's goal is for 32,000 tokens; generate's for all.
        if name == "beam_search_over_espnet":
            values = [f[name] for k, f in cells.items() if name in f and k[0] == 32000]
        if values:
            ratios[name] = min(values)
    goals = [
        [
            label,
            f"{ratios[name]:.2f}",
            f"{goal:g}",
            "yes" if ratios[name] >= goal else "NO",
        ]
        for name, (label, goal) in GOALS.items()
        if name in ratios
    ]
    print_report(
        f"Goals: {settings}",
        ["speed", "measured", "goal", "reached"],
        goals,
        {"cells": list(cells.values()), "ratios": ratios},
    )


if __name__ == "__main__":
    main()
