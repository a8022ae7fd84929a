#!/usr/bin/env python3
"""Train a small sentence-embedding teacher on sentence pairs."""

import argparse
import json
import logging
import os
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from espnet_samu.utils.atomic import AtomicFolder
from espnet_samu.utils.command import run
from espnet_samu.utils.safe_reading import hash_file

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from transformers import PreTrainedTokenizerFast

PAD, UNKNOWN = "[PAD]", "[UNK]"
INFO_FILE = "teacher.json"
# Options that change the weights
OPTIONS = ("updates", "batch_size", "lr", "seed", "dim", "layers")
WARMUP = 0.1  # share of the updates
LOG_INTERVAL = 100  # updates
COLUMNS = ("lang", "text", "english")


class Pair(NamedTuple):
    """Sentence and its English translation."""

    lang: str
    text: str
    english: str


def read_bitext(path: str | os.PathLike[str]) -> list[Pair]:
    """Read a TSV file with the header ``lang text english``, without quoting.

    Args:
        path: File in UTF-8; further columns are not allowed.

    Returns:
        Distinct pairs, in the order of the file.

    Raises:
        ValueError: Naming file and line, for a wrong header, a wrong number of
            columns, an empty field; for a file without pairs.
    """
    pairs: dict[Pair, None] = {}
    with open(path, encoding="utf-8", newline="\n") as f:
        for number, line in enumerate(f, 1):
            fields = tuple(field.strip() for field in line.rstrip("\r\n").split("\t"))
            if number == 1:
                if fields != COLUMNS:
                    raise ValueError(
                        f"{path}:1: header must be {COLUMNS}, tab-separated: {fields}"
                    )
            elif len(fields) != len(COLUMNS) or not all(fields):
                raise ValueError(
                    f"{path}:{number}: need {len(COLUMNS)} non-empty columns "
                    f"{COLUMNS}: {fields}"
                )
            else:
                pairs[Pair(*fields)] = None
    if not pairs:
        raise ValueError(f"{path}: no sentence pair in the file")
    return list(pairs)


def distinct_batches(
    pairs: Sequence[Pair], batch_size: int, seed: int
) -> Iterator[list[Pair]]:
    """Yield batches without end; each sentence at most once in a batch.

    A repeated sentence would be its own wrong answer in a ranking loss. A pair whose
    sentence is in the batch already is left to another epoch (each is shuffled anew),
    and so is an unfinished batch, unless the epoch gave no full one.

    Args:
        pairs: Sentence pairs.
        batch_size: Pairs a batch.
        seed: Seed of the order.

    Yields:
        ``batch_size`` pairs, or fewer where there are not so many distinct ones.

    Raises:
        ValueError: When not even two pairs can stand in one batch.
    """
    order = list(pairs)
    generator = random.Random(seed)
    while True:
        generator.shuffle(order)
        batch: list[Pair] = []
        sentences: tuple[set[str], set[str]] = (set(), set())
        full_batches = 0
        for pair in order:
            if pair.text in sentences[0] or pair.english in sentences[1]:
                continue
            batch.append(pair)
            sentences[0].add(pair.text)
            sentences[1].add(pair.english)
            if len(batch) == batch_size:
                yield batch
                full_batches += 1
                batch, sentences = [], (set(), set())
        if not full_batches:
            if len(batch) < 2:
                raise ValueError("need at least two pairs with distinct sentences")
            yield batch


def build_tokenizer(
    sentences: Sequence[str], vocab_size: int, max_length: int
) -> "PreTrainedTokenizerFast":
    """Train one word-level tokenizer over all languages.

    Words are lower-cased; punctuation stands alone; words outside the vocabulary share
    one token. Counting words is deterministic, unlike the training of sub-words.

    Args:
        sentences: Training sentences of all languages.
        vocab_size: Most tokens to keep.
        max_length: Longest sentence, in tokens.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordLevelTrainer(
        vocab_size=vocab_size, special_tokens=[PAD, UNKNOWN], show_progress=False
    )
    tokenizer.train_from_iterator(sentences, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        model_max_length=max_length,
    )


def build_model(
    sentences: Sequence[str],
    dim: int = 128,
    layers: int = 1,
    heads: int = 4,
    vocab_size: int = 20000,
    max_length: int = 128,
) -> "SentenceTransformer":
    """Build an untrained model: tokenizer, BERT, mean pooling, normalisation.

    Args:
        sentences: Sentences of all languages that the vocabulary is taken from.
        dim: Size D of an embedding; a multiple of ``heads``.
        layers: Number of transformer layers.
        heads: Number of attention heads.
        vocab_size: Most tokens to keep.
        max_length: Longest sentence, in tokens; the rest is cut off.

    Returns:
        The model on the CPU; its weights follow torch's random generator.

    Raises:
        ValueError: When ``dim`` is not a multiple of ``heads``.
    """
    if dim % heads:
        raise ValueError(f"dim must be a multiple of heads ({heads}): {dim}")
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from transformers import BertConfig, BertModel

    tokenizer = build_tokenizer(sentences, vocab_size, max_length)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=dim,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * dim,
        max_position_embeddings=max_length,
        pad_token_id=tokenizer.pad_token_id,
    )
    # The library only loads models from a folder.
    with tempfile.TemporaryDirectory() as folder:
        BertModel(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        transformer = Transformer(folder, max_seq_length=max_length)
    return SentenceTransformer(
        modules=[transformer, Pooling(dim, pooling_mode="mean"), Normalize()],
        device="cpu",
    )


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
    """Return whether a folder holds a teacher that was trained from ``key``."""
    try:
        table = json.loads((Path(output_dir) / INFO_FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    return all(name in table and table[name] == value for name, value in key.items())


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command."""
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
