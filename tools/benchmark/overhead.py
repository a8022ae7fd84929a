#!/usr/bin/env python3
"""A training step through ESPnet's trainer, against a plain loop over the bare modules.

Distillation (``samu``) and translation (``st``), the mini recipe's models or larger
ones. The plain loop computes the same loss from the same batch by the modules of
transformers, the pooling, projector and output layer, and has the same clipping and
optimiser, but no trainer, checks, statistics, reporter or accuracy. Both have weights
of their own, equal at the start; that the gradients are equal is checked first. Steps
take turns, and CPU time is compared, so that other work on the machine meets both; the
ratio is the median of those of a step and the plain step behind it.
"""

import argparse
import copy
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from distill import STUDENTS, Data, build_student
from frames import mini_model
from full_size import assemble, random_text
from report import print_report
from torch.nn.functional import cosine_similarity

GOAL = 1.05
VOCAB = 16000


def translation_model(size: str):
    """Translation model with a frozen encoder."""
    from espnet_samu.decoder.mbart import MBartDecoder
    from espnet_samu.frontend.samu import SamuFrontend

    torch.manual_seed(0)
    if size == "tiny":
        model = mini_model()
    else:
        frontend = SamuFrontend(**STUDENTS[size], freeze=True)
        width = frontend.output_size()
        conf = dict(
            d_model=512,
            decoder_layers=6,
            decoder_attention_heads=8,
            decoder_ffn_dim=2048,
            scale_embedding=True,
        )
        decoder = MBartDecoder(VOCAB, width, model_conf=conf)
        model = assemble(frontend, decoder, VOCAB, width)
    return model


def bare_frames(frontend: Any, speech: torch.Tensor, lengths: torch.Tensor):
    """Frames (B, T, D) of transformers' model and a mask of those that are real."""
    features = frontend.family.features(frontend.model, speech, lengths)
    n_frames = frontend.family.frame_lengths(frontend.model, lengths)
    mask = (torch.arange(features.size(1)) < n_frames[:, None]).long()
    return frontend.model(features, attention_mask=mask).last_hidden_state, n_frames


def bare_distillation(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Loss of a student."""
    frames, n_frames = bare_frames(
        model.frontend, batch["speech"], batch["speech_lengths"]
    )
    student = model.projector(model.pooling(frames, n_frames))
    return 1 - cosine_similarity(student, batch["embed"]).mean()


def bare_translation(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Loss of a translation model."""
    from transformers.modeling_outputs import BaseModelOutput

    with torch.no_grad():
        frames, n_frames = bare_frames(
            model.frontend, batch["speech"], batch["speech_lengths"]
        )
    decoder = model.decoder
    end = torch.full_like(batch["text"][:, :1], model.eos)
    targets = torch.cat([batch["text"], end], dim=1)
    hidden = decoder.model.model(
        encoder_outputs=BaseModelOutput(decoder.encode_frames(frames)),
        attention_mask=(torch.arange(frames.size(1)) < n_frames[:, None]).long(),
        decoder_input_ids=torch.cat([end, batch["text"]], dim=1),
        use_cache=False,
    ).last_hidden_state
    logits = decoder.model.lm_head(hidden) + decoder.model.final_logits_bias
    size = logits.size(-1)
    loss = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1),
        targets.flatten(),
        reduction="sum",
        label_smoothing=model.criterion_st.smoothing * size / (size - 1),
    )
    return loss / len(targets)


class Turns:
    """Iterator of the trainer's batches, which makes a plain step between two.

    Args:
        batch: Of every step.
        plain: Makes a plain step.
        n: Number of steps of each.
    """

    def __init__(
        self, batch: dict[str, torch.Tensor], plain: Callable[[], None], n: int
    ):
        self.batch = batch
        self.plain = plain
        self.n = n
        self.seconds: dict[str, list[float]] = {"trainer": [], "plain": []}

    def __iter__(self) -> Iterator[tuple[list[str], dict[str, torch.Tensor]]]:
        names = [f"utt{i}" for i in range(len(self.batch["speech"]))]
        for _ in range(self.n):
            start = time.process_time()
            yield names, dict(self.batch)
            self.seconds["trainer"].append(time.process_time() - start)
            start = time.process_time()
            self.plain()
            self.seconds["plain"].append(time.process_time() - start)


def optimizer_of(model: torch.nn.Module) -> torch.optim.Optimizer:
    """AdamW over what is trained."""
    return torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-5)


def by_trainer(model: torch.nn.Module, turns: Turns) -> None:
    """Train on all batches by ESPnet's trainer."""
    from espnet2.train.distributed_utils import DistributedOption
    from espnet2.train.reporter import Reporter
    from espnet2.train.trainer import TrainerOptions

    from espnet_samu.train.safe_trainer import SafeTrainer

    with tempfile.TemporaryDirectory() as folder:
        values = dict(ngpu=0, accum_grad=1, grad_clip=1.0, grad_clip_type=2.0)
        values.update(grad_noise=False, no_forward_run=False, use_wandb=False)
        values.update(create_graph_in_tensorboard=False, output_dir=folder)
        values.update(log_interval=50)
        names = [field.name for field in dataclasses.fields(TrainerOptions)]
        with Reporter().observe("train") as reporter:
            SafeTrainer.train_one_epoch(
                model=model,
                iterator=turns,
                optimizers=[optimizer_of(model)],
                schedulers=[None],
                scaler=None,
                reporter=reporter,
                summary_writer=None,
                options=TrainerOptions(**{name: values.get(name) for name in names}),
                distributed_option=DistributedOption(),
            )


def gradients(model: torch.nn.Module, loss: torch.Tensor) -> torch.Tensor:
    """Gradients of a loss as one vector; they are removed from the model."""
    loss.backward()
    found = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    return torch.cat(found)


def measure(kind: str, args: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of one kind of training."""
    data = Data(args.batch_size, args.seconds, 4, 100)
    batch = {"speech": data.speech, "speech_lengths": data.lengths}
    if kind == "samu":
        model, bare = build_student(args.size), bare_distillation
        batch["embed"] = data.embed
    else:
        model, bare = translation_model(args.size), bare_translation
        text = random_text(model, data.speech, args.tokens)
        batch["text"], batch["text_lengths"] = text
    model.train()
    twin = copy.deepcopy(model)
    # The same dropout.
    torch.manual_seed(0)
    expected = gradients(twin, bare(twin, batch))
    torch.manual_seed(0)
    found = gradients(model, model(**batch)[0])
    different = float((found - expected).norm() / expected.norm())
    trained = [p for p in twin.parameters() if p.requires_grad]
    optimizer = optimizer_of(twin)

    def plain() -> None:
        bare(twin, batch).backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    turns = Turns(batch, plain, args.repeats + args.warmup)
    by_trainer(model, turns)
    seconds = {
        name: statistics.median(values[args.warmup :])
        for name, values in turns.seconds.items()
    }
    pairs = zip(turns.seconds["trainer"], turns.seconds["plain"])
    ratios = [trainer / plain for trainer, plain in pairs]
    return {
        "cpu_seconds": seconds,
        "ratio": statistics.median(ratios[args.warmup :]),
        "difference_of_gradients": different,
    }


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--kinds", nargs="+", choices=["samu", "st"], default=["samu", "st"]
    )
    parser.add_argument("--size", choices=STUDENTS, default="tiny")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=4.0, help="Longest utterance")
    parser.add_argument("--tokens", type=int, default=15, help="Of each translation")
    parser.add_argument("--repeats", type=int, default=150)
    parser.add_argument("--warmup", type=int, default=5)
    return parser


def main() -> None:
    """Run from the command line."""
    args = get_parser().parse_args()
    torch.set_num_threads(1)
    figures = {kind: measure(kind, args) for kind in args.kinds}
    rows = []
    for kind, found in figures.items():
        seconds = found["cpu_seconds"]
        rows.append(
            [
                kind,
                *(f"{1000 * seconds[name]:.1f}" for name in ("trainer", "plain")),
                f"{found['ratio']:.3f}",
                "yes" if found["ratio"] <= GOAL else "NO",
                f"{found['difference_of_gradients']:.0e}",
            ]
        )
    print_report(
        f"A training step, CPU time in ms, {args.size} models, {args.batch_size} x "
        f"{0.8 * args.seconds:g}-{args.seconds:g} s, one thread, random weights; goal: "
        f"at most {GOAL} times the plain loop's",
        ["training", "trainer", "plain", "ratio", "reached", "difference of gradients"],
        rows,
        {"size": args.size, "batch_size": args.batch_size, **figures},
    )


if __name__ == "__main__":
    main()
