#!/usr/bin/env python3
"""Models of the published sizes, random weights: memory and time.

XLS-R 300M and the decoder of mBART-large-50, built from their configurations without
their weights: one training step and one batched decoding, with all 250,054 tokens and
with a trimmed vocabulary; then the decoder alone, its frames given, once more with
gradient_checkpointing. Peaks are those of the process's memory, above what it held
before, so that weights are not in them. With --student SIZE: updates of a student of
XLS-R's size, or of SENSE's (w2v-BERT 2.0), which --encoder takes, too. With --seamless:
SeamlessM4T v2 large as a translation model, LNA-ED and LoRA. Random weights: losses
and translations mean nothing.
"""

import argparse
import ctypes
import gc
import json
import subprocess
import sys
import time
from collections.abc import Sequence

import torch
from report import peak_memory, print_report

from espnet_samu.scoring.table import format_table

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
# w2v-BERT 2.0: transformers' defaults are its published sizes.
W2V_BERT = dict(model_type="wav2vec2-bert", layerdrop=0.0)
SENSE = "SENSE"
# Tang et al., arXiv 2008.00401: decoder of facebook/mbart-large-50.
MBART_LARGE = dict(
    model_type="mbart",
    d_model=1024,
    decoder_layers=12,
    decoder_attention_heads=16,
    decoder_ffn_dim=4096,
    max_position_embeddings=1024,
    scale_embedding=True,
    dropout=0.1,
)
FULL = 250054
# The sizes of SeamlessM4T v2 large are the defaults of transformers' configuration.
SEAMLESS = dict(model_type="seamless_m4t_v2", speech_encoder_layerdrop=0.0)
SEAMLESS_FULL = 256102
GOAL = 0.4


class Phase:
    """Seconds and peak memory in GiB of a block, above what was held before."""

    def __enter__(self):
        gc.collect()
        # Otherwise what was freed before would be taken again without being seen.
        ctypes.CDLL(None).malloc_trim(0)
        # Sets the highest value of the memory back to the present one.
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
        self.before = peak_memory()
        self.start = time.perf_counter()
        return self

    def __exit__(self, *_):
        self.seconds = time.perf_counter() - self.start
        self.highest = peak_memory()


def encoder_conf(size: str) -> dict:
    """Return ``model_conf`` of an encoder."""
    return W2V_BERT if size == SENSE else {**COMMON, **SIZES[size]}


def name_of(size: str) -> str:
    """Return the name of an encoder."""
    return "w2v-BERT 2.0" if size == SENSE else f"XLS-R {size}"


def assemble(frontend, decoder, vocab: int, size: int):
    """Translation model of a frontend and a decoder, frames of size D between them."""
    from espnet_samu.encoder.passthrough import PassthroughEncoder
    from espnet_samu.st_model import SamuSTModel

    parts = "specaug normalize preencoder hier_encoder postencoder st_joint_network ctc"
    parts += " st_ctc extra_asr_decoder extra_mt_decoder md_encoder extra_mt_encoder"
    return SamuSTModel(
        vocab_size=vocab,
        src_vocab_size=0,
        token_list=[str(i) for i in range(vocab)],
        src_token_list=[],
        frontend=frontend,
        encoder=PassthroughEncoder(input_size=size),
        decoder=decoder,
        report_bleu=False,
        lsm_weight=0.1,
        **dict.fromkeys(parts.split()),
    )


def assemble_student(frontend, projector, encoder=None):
    """Student of a frontend, and an encoder where it has one, with the cosine loss."""
    from espnet_samu.encoder.passthrough import PassthroughEncoder
    from espnet_samu.loss.cosine import CosineLoss
    from espnet_samu.pooling.attention import AttentionPooling
    from espnet_samu.samu_model import ESPnetSAMUModel

    encoder = encoder or PassthroughEncoder(input_size=frontend.output_size())
    pooling = AttentionPooling(input_size=encoder.output_size())
    losses, weights = {"cosine": CosineLoss()}, {"cosine": 1.0}
    return ESPnetSAMUModel(frontend, encoder, pooling, projector, losses, weights)


def build(args: argparse.Namespace):
    """The model; without an encoder only its decoder."""
    from espnet_samu.decoder.mbart import MBartDecoder
    from espnet_samu.frontend.samu import SamuFrontend
    from espnet_samu.layers.adapters import add_adapters
    from espnet_samu.layers.trainable import set_trainable

    torch.manual_seed(0)
    vocab, frontend = args.vocab, None
    checkpointing = {"gradient_checkpointing": args.gradient_checkpointing}
    decoder_conf = MBART_LARGE
    if args.seamless:
        decoder_conf = seamless_decoder(vocab)
    width = decoder_conf["d_model"]  # of the frames, too
    if not args.decoder_only:
        conf = SEAMLESS if args.seamless else encoder_conf(args.encoder)
        frontend = SamuFrontend(model_conf=conf, **checkpointing)
    # As when a trained model is loaded: random weights are made with less memory.
    decoder = MBartDecoder(
        vocab,
        width,
        model="random",
        model_conf=decoder_conf,
        pretrained=False,
        **checkpointing,
    )
    model = assemble(frontend, decoder, vocab, width)
    if args.lora:
        conf = {"type": "lora", "size": args.lora}
        add_adapters(model, {"encoder": conf, "decoder": conf})
        args.trainable = "adapters"
    set_trainable(model, "lna_d" if args.decoder_only else args.trainable)
    return model


def seamless_decoder(vocab: int) -> dict:
    """Fields of the text decoder of SeamlessM4T v2 large."""
    from transformers import AutoConfig

    from espnet_samu.utils.seamless import decoder_fields

    fields = decoder_fields(AutoConfig.for_model(**SEAMLESS))
    return {**fields, "decoder_layerdrop": 0.0, "vocab_size": vocab}


def random_text(model, speech, n_tokens: int):
    """Tokens (B, L) of as many translations as there are utterances, and lengths."""
    size = len(speech), n_tokens
    text = torch.randint(4, len(model.token_list) - 1, size, device=speech.device)
    return text, torch.full(size[:1], n_tokens, device=speech.device)


def gradients(model, speech, lengths, n_tokens: int) -> float:
    """Forward and backward; returns the loss."""
    loss, _, _ = model(speech, lengths, *random_text(model, speech, n_tokens))
    loss.backward()
    return loss.item()


def update(model) -> None:
    """One update by the gradients that there are."""
    trained = [p for p in model.parameters() if p.requires_grad]
    norm = torch.nn.utils.clip_grad_norm_(trained, 1.0)
    assert torch.isfinite(norm), "gradients are not finite"
    optimizer = torch.optim.Adam(trained, lr=1e-4, betas=(0.9, 0.98))
    optimizer.step()
    optimizer.zero_grad()


@torch.no_grad()
def decode(model, speech, lengths, n_tokens: int, backend: str) -> None:
    """Translate a batch, n_tokens each, beam 5."""
    from espnet_samu.decoding.beam_search import FusionSearch
    from espnet_samu.decoding.search import GenerateSearch, SearchSettings

    settings = SearchSettings(maxlenratio=-n_tokens, minlenratio=-n_tokens)
    searches = {"generate": GenerateSearch, "beam_search": FusionSearch}
    found = searches[backend](model, settings)(*model.encode(speech, lengths))
    assert all(best[0].length == n_tokens for best in found)


def measure(args: argparse.Namespace) -> dict:
    """Return the figures of a translation model of one vocabulary."""
    from espnet_samu.layers.trainable import count_parameters

    model = build(args).train()
    if args.decoder_only:
        # As XLS-R makes them: a frame every 20 ms.
        speech = torch.randn(args.batch_size, int(args.seconds * 50) - 1, 1024)
    else:
        speech = torch.randn(args.batch_size, int(args.seconds * 16000)) * 0.1
    lengths = torch.full((args.batch_size,), speech.size(1))
    figures = {
        "vocab": args.vocab,
        "decoder_only": args.decoder_only,
        "gradient_checkpointing": args.gradient_checkpointing,
        "trainable": args.trainable,
    }
    counts = count_parameters(model)
    figures["parameters"] = {k: c._asdict() for k, c in counts.items()}
    with Phase() as weights:
        for parameter in model.parameters():
            if parameter.requires_grad:
                # Filled, since memory is only taken when it is written to.
                parameter.grad = torch.full_like(parameter, 0.0)
    phases = {}
    with Phase() as phases["gradients"]:
        figures["loss"] = gradients(model, speech, lengths, args.tokens)
    with Phase() as phases["update"]:
        update(model)
    model.eval()
    for backend in ("generate", "beam_search"):
        with Phase() as phases[backend]:
            decode(model, speech, lengths, args.tokens, backend)
    figures["weights_gib"] = weights.before
    figures["gradients_gib"] = weights.highest - weights.before
    for name, phase in phases.items():
        figures[f"seconds_{name}"] = phase.seconds
        figures[f"peak_gib_{name}"] = phase.highest
        figures[f"peak_above_gib_{name}"] = phase.highest - phase.before
    figures["peak_above_weights_gib_gradients"] = (
        phases["gradients"].highest - weights.before
    )
    return figures


def build_student(size: str, dtype: str, gradient_checkpointing: bool):
    """Student, as train_samu.yaml makes it, or as student_import makes SENSE."""
    from espnet_samu.frontend.samu import SamuFrontend
    from espnet_samu.projector.identity import IdentityProjector
    from espnet_samu.projector.tanh import TanhProjector

    torch.manual_seed(0)
    frontend = SamuFrontend(
        model_conf=encoder_conf(size),
        dtype=dtype,
        gradient_checkpointing=gradient_checkpointing,
    )
    width = frontend.output_size()
    projector = IdentityProjector(width)
    if size != SENSE:
        projector = TanhProjector(input_size=width, output_size=768)
    return assemble_student(frontend, projector).train()


def run_student(args: argparse.Namespace) -> None:
    """Train a student in this process and print its report."""
    from espnet_samu.layers.trainable import count_parameters

    start = time.perf_counter()
    model = build_student(args.student, args.dtype, args.gradient_checkpointing)
    seconds_build = time.perf_counter() - start
    counts = count_parameters(model)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=1e-4, betas=(0.9, 0.98))
    samples = int(args.seconds * 16000)
    speech = torch.randn(args.batch_size, samples) * 0.1
    lengths = torch.full((args.batch_size,), samples)
    teacher = torch.randn(args.batch_size, model.projector.output_size())
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
        "size": args.student,
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
        f"Student of {name_of(args.student)}'s configuration, random weights: "
        f"{args.updates} updates on {args.batch_size} x {args.seconds:g} s, "
        f"{args.dtype}, gradient checkpointing {args.gradient_checkpointing}",
        ["module", "parameters, M", "trained, M"],
        rows,
        figures,
    )


PHASES = ("gradients", "update", "generate", "beam_search")
MODELS = {
    "whole model": [],
    "decoder": ["--decoder_only"],
    "decoder, checkpointing": ["--decoder_only", "--gradient_checkpointing"],
}
SHARES = ("peak_above_gib_gradients", "peak_above_weights_gib_gradients")


def compare(what: str, full: dict, trimmed: dict) -> dict:
    """Ratios of a trimmed to a full vocabulary."""
    keys = [f"{key}_{name}" for name in PHASES for key in ("peak_above_gib", "seconds")]
    return {f"{what}: {k}": trimmed[k] / full[k] for k in (*keys, SHARES[1])}


def table_row(figures: dict) -> list:
    """A vocabulary's line of the table."""
    parameters = figures["parameters"]["all"]
    what = "decoder, frames given" if figures["decoder_only"] else "whole model"
    if figures["gradient_checkpointing"]:
        what += ", checkpointing"
    cells = [f"{what}, {figures['vocab']:,} tokens"]
    cells += [f"{parameters[k] / 1e6:.0f}" for k in ("total", "trainable")]
    cells += [f"{figures[k]:.2f}" for k in ("weights_gib", "gradients_gib")]
    for name in PHASES:
        cells.append(f"{figures[f'seconds_{name}']:.1f}")
        cells.append(f"{figures[f'peak_above_gib_{name}']:.2f}")
    cells.append(f"{max(figures[f'peak_gib_{name}'] for name in PHASES):.1f}")
    return cells


COLUMNS = "model,parameters M,trained M,weights GiB,gradients GiB".split(",")
for _name in ("forward and backward", "update", "generate", "beam_search"):
    COLUMNS += [f"{_name}: s", "peak"]
COLUMNS.append("most GiB in all")
SPARING = {"LNA-ED": ["--trainable", "lna_ed"], "LoRA, rank 16": ["--lora", "16"]}


def run_seamless(args: argparse.Namespace, options: Sequence[str]) -> None:
    """Measure SeamlessM4T, each kind of fine-tuning in a process of its own."""
    extra = {"vocab": str(SEAMLESS_FULL)}
    extra["batch_size"], extra["seconds"] = str(args.batch_size), str(args.seconds)
    given = [f"--{name}={value}" for name, value in extra.items()]
    results, rows = [], []
    for what, how in SPARING.items():
        results.append(measure_apart([*options, *given, *how]))
        rows.append([what, *table_row(results[-1])[1:]])
    print_report(
        f"SeamlessM4T v2 large, random weights, {args.batch_size} x {args.seconds:g} "
        f"s, {args.tokens} tokens, beam 5, gradient checkpointing "
        f"{args.gradient_checkpointing}; peaks: GiB above the weights",
        COLUMNS,
        rows,
        {"results": results},
    )


def measure_apart(options: Sequence[str]) -> dict:
    """Return the figures of :func:`measure`, from a process of its own."""
    command = [sys.executable, __file__, *options]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    sizes = [*SIZES, SENSE]
    parser.add_argument("--student", choices=sizes, help="Measure a student instead")
    parser.add_argument("--encoder", choices=sizes, default="300M", help="Its size")
    parser.add_argument("--seamless", action="store_true", help="Measure it instead")
    parser.add_argument("--lora", type=int, default=0, help="Rank; trains nothing else")
    parser.add_argument("--vocab", type=int, default=0, help="One of them; 0: both")
    parser.add_argument("--trimmed", type=int, default=16000, help="Tokens kept")
    parser.add_argument("--decoder_only", action="store_true")
    parser.add_argument("--batch_size", type=int, help="Default: 4; of a student 1")
    parser.add_argument(
        "--seconds", type=float, help="Audio of each. Default: 10; of a student 20"
    )
    parser.add_argument("--tokens", type=int, default=40, help="Of each translation")
    parser.add_argument("--gradient_checkpointing", action="store_true")
    parser.add_argument("--trainable", default="lna_ed", help="Preset of layers/")
    parser.add_argument("--updates", type=int, default=3, help="Of a student")
    parser.add_argument("--dtype", default="float32", help="Autocast of a student")
    return parser


def main(cmd: Sequence[str] | None = None) -> None:
    """Measure a student, or each vocabulary in a process of its own."""
    options = list(sys.argv[1:] if cmd is None else cmd)
    args = get_parser().parse_args(options)
    defaults = (4, 10.0) if args.student is None else (1, 20.0)
    args.batch_size = args.batch_size or defaults[0]
    args.seconds = args.seconds or defaults[1]
    if args.student is not None:
        run_student(args)
        return
    if args.vocab:
        print(json.dumps(measure(args)))
        return
    if args.seamless:
        run_seamless(args, options)
        return
    results, ratios = [], {}
    for what, extra in MODELS.items():
        for vocab in (FULL, args.trimmed):
            results.append(measure_apart([*options, "--vocab", str(vocab), *extra]))
        ratios.update(compare(what, *results[-2:]))
    size = (
        f"{args.batch_size} x {args.seconds:g} s, {args.tokens} tokens, "
        f"{args.trainable}, beam 5, {torch.get_num_threads()} thread(s)"
    )
    encoder = name_of(args.encoder)
    print(f"\n{encoder} and mBART-large-50's decoder, random weights, {size}")
    print("Peaks: GiB above the weights; in training also above their gradients\n")
    rows = [table_row(figures) for figures in results]
    print(format_table(COLUMNS, rows))
    print_report(
        f"Forward and backward, trimmed over full ({size}); goal: the decoder needs "
        f"{GOAL} of the memory at most",
        ["model", "above weights and gradients", "above weights"],
        [
            [what, *(f"{ratios[f'{what}: {key}']:.2f}" for key in SHARES)]
            for what in MODELS
        ],
        {"results": results, "trimmed_over_full": ratios},
    )


if __name__ == "__main__":
    main()
