#!/usr/bin/env python3
"""Train a small sentence-embedding teacher on sentence pairs."""

import argparse
import json
import logging
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from espnet_samu.teacher.small_model import Pair, distinct_batches, read_bitext
from espnet_samu.utils.atomic import AtomicFolder
from espnet_samu.utils.command import run
from espnet_samu.utils.hashing import hash_file

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

INFO_FILE = "teacher.json"
# Options that change the weights
OPTIONS = ("updates", "batch_size", "lr", "seed", "dim", "layers")
WARMUP = 0.1  # share of the updates
LOG_INTERVAL = 100  # updates


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description="Train a small multilingual sentence-transformers model from "
        "scratch by translation ranking. It stands for LaBSE where no teacher can be "
        "had. Does nothing where the output was made from the same bitext and options.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--bitext",
        required=True,
        help="TSV file with the header `lang text english`, without quoting",
    )
    parser.add_argument("--output_dir", required=True, help="Folder of the model")
    parser.add_argument("--updates", type=int, default=800, help="Training steps")
    parser.add_argument("--batch_size", type=int, default=96, help="Pairs a batch")
    parser.add_argument("--lr", type=float, default=2e-3, help="Peak learning rate")
    parser.add_argument("--seed", type=int, default=0, help="Seed of all randomness")
    parser.add_argument("--dim", type=int, default=128, help="Size of an embedding")
    parser.add_argument("--layers", type=int, default=1, help="Transformer layers")
    return parser


def train(
    model: "SentenceTransformer",
    batches: Iterator[list[Pair]],
    updates: int,
    lr: float,
) -> float:
    """Train a model in place by translation ranking in both directions.

    Reference:
        Feng et al., "Language-agnostic BERT Sentence Embedding", ACL 2022, Eq. 1
        (without the margin).

    Args:
        model: Model to train.
        batches: Endless batches of sentence pairs, without repeated sentences.
        updates: Number of training steps.
        lr: Peak learning rate; linear warm-up, then linear decay to 0.

    Returns:
        Mean loss (nats) of the last updates, since the last one that was logged.
    """
    import torch
    from sentence_transformers.sentence_transformer.losses import (
        MultipleNegativesRankingLoss,
    )

    loss_class = MultipleNegativesRankingLoss(
        model,
        directions=("query_to_doc", "doc_to_query"),
        partition_mode="per_direction",
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    warmup = max(1, round(WARMUP * updates))
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda n: min((n + 1) / warmup, (updates - n) / max(1, updates - warmup)),
    )
    model.train()
    losses: list[float] = []
    for update in range(1, updates + 1):
        batch = next(batches)
        features = [
            model.preprocess([pair.text for pair in batch]),
            model.preprocess([pair.english for pair in batch]),
        ]
        loss = loss_class(features, torch.empty(0))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
        mean = sum(losses) / len(losses)
        if update % LOG_INTERVAL == 0 and update != updates:
            logging.info(f"update {update}/{updates}: loss {mean:.4f}")
            losses.clear()
    logging.info(f"update {updates}/{updates}: loss {mean:.4f}")
    model.eval()
    return mean


def is_up_to_date(output_dir: str | os.PathLike[str], key: dict[str, Any]) -> bool:
    """Return whether a folder holds a teacher that was trained from `key`."""
    try:
        table = json.loads((Path(output_dir) / INFO_FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    return all(name in table and table[name] == value for name, value in key.items())


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command line.

    Args:
        cmd: Arguments; those of the process by default.
    """
    args = get_parser().parse_args(cmd)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    for name, least in (("updates", 1), ("batch_size", 2), ("layers", 1)):
        if getattr(args, name) < least:
            raise ValueError(f"{name} must be at least {least}: {getattr(args, name)}")
    options = {name: getattr(args, name) for name in OPTIONS}
    key = {"bitext_sha256": hash_file(args.bitext), **options}
    if is_up_to_date(args.output_dir, key):
        print(f"{args.output_dir}: up to date")
        return
    output = AtomicFolder(args.output_dir, "teacher_train", [args.bitext])
    pairs = read_bitext(args.bitext)

    import torch
    from transformers.utils.logging import disable_progress_bar

    from espnet_samu.teacher.small_model import build_model

    start = time.perf_counter()
    disable_progress_bar()
    torch.manual_seed(args.seed)
    sentences = [s for pair in pairs for s in (pair.text, pair.english)]
    model = build_model(sentences, dim=args.dim, layers=args.layers)
    batches = distinct_batches(pairs, args.batch_size, args.seed)
    loss = train(model, batches, args.updates, args.lr)
    info = {
        **key,
        "pairs": len(pairs),
        "langs": sorted({pair.lang for pair in pairs}),
        "vocab_size": len(model.tokenizer),
        "final_loss": loss,
    }
    with output as folder:
        model.save(str(folder), create_model_card=False)
        (folder / INFO_FILE).write_text(json.dumps(info, indent=2) + "\n")
    seconds = time.perf_counter() - start
    print(
        f"{args.output_dir}: {len(pairs)} pairs, {len(model.tokenizer)} tokens, "
        f"loss {loss:.4f}, {seconds:.0f} s"
    )


if __name__ == "__main__":
    run(main)
