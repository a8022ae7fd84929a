#!/usr/bin/env python3
"""Throughput of teacher embeddings beside that of sentence-transformers."""

import argparse
import logging
import random
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from report import print_report, time_pairwise

from espnet_samu.teacher import cache
from espnet_samu.teacher.sentence_encoder import SentenceEncoder
from espnet_samu.teacher.text_embedder import TextEmbedder
from espnet_samu.utils.kaldi_io import write_text

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

LABSE = {"layers": 12, "dim": 768, "vocab": 501153}
WORDS = 3000


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description="Time teacher_embed (deduplication, saved parts, ark and scp "
        "included) against SentenceTransformer.encode with a model of LaBSE's modules "
        "and random weights, on made-up sentences.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--layers", type=int, default=6, help="Layers of BERT")
    parser.add_argument("--dim", type=int, default=384, help="Size of BERT")
    parser.add_argument("--vocab", type=int, default=4000, help="Rows of the embedding")
    parser.add_argument(
        "--labse",
        action="store_true",
        help=f"LaBSE's configuration instead of the three above: {LABSE}",
    )
    parser.add_argument("--sentences", type=int, default=1000, help="Lines of a text")
    parser.add_argument(
        "--copies", type=int, default=5, help="How often a repeated sentence occurs"
    )
    parser.add_argument("--batch_size", type=int, default=256, help="For both sides")
    parser.add_argument("--part_size", type=int, default=8192, help="See teacher_embed")
    parser.add_argument("--repeats", type=int, default=3, help="Timed calls of each")
    parser.add_argument("--threads", type=int, default=1, help="Threads of torch")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ...")
    return parser


def make_words(generator: random.Random) -> list[str]:
    """Return distinct made-up words of 1 to 12 letters."""
    words: dict[str, None] = {}
    while len(words) < WORDS:
        length = min(12, max(1, round(generator.gauss(5, 2.5))))
        words["".join(generator.choices("abcdefghijklmnopqrst", k=length))] = None
    return list(words)


def make_sentences(words: list[str], count: int, generator: random.Random) -> list[str]:
    """Return distinct sentences of 2 to 40 words, 9 in the median."""
    sentences: dict[str, None] = {}
    while len(sentences) < count:
        length = min(40, max(2, round(generator.lognormvariate(2.2, 0.5))))
        sentences[" ".join(generator.choices(words, k=length))] = None
    return list(sentences)


def make_teacher(
    folder: Path, words: list[str], layers: int, dim: int, vocab: int
) -> None:
    """Save a model of LaBSE's modules with random weights."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from transformers import BertConfig, BertModel, BertTokenizerFast

    # A word in twelve goes to pieces of one letter: 1.3 tokens a word
    letters = "abcdefghijklmnopqrst"
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters]
    pieces += [f"##{letter}" for letter in letters]
    pieces += [w for i, w in enumerate(words) if i % 12 and w not in letters]
    tokens = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = BertTokenizerFast(vocab=tokens, model_max_length=256)
    config = BertConfig(
        vocab_size=max(vocab, len(pieces)),
        hidden_size=dim,
        num_hidden_layers=layers,
        num_attention_heads=max(1, dim // 64),
        intermediate_size=4 * dim,
    )
    with tempfile.TemporaryDirectory() as bert:
        BertModel(config).save_pretrained(bert)
        tokenizer.save_pretrained(bert)
        transformer = Transformer(bert, max_seq_length=256)
    modules = [transformer, Pooling(dim, pooling_mode="cls"), Dense(dim, dim)]
    model = SentenceTransformer(modules=[*modules, Normalize()], device="cpu")
    model.save(str(folder), create_model_card=False)


def measure(
    sentences: list[str],
    encoder: SentenceEncoder,
    library: "SentenceTransformer",
    args: argparse.Namespace,
) -> dict[str, float]:
    """Time one list of sentences; seconds by side."""
    key = cache.teacher_key(["random"], [None], "concat", True, "float32")
    with tempfile.TemporaryDirectory() as folder:
        text = f"{folder}/text"
        write_text(text, {f"utt{i:07d}": s for i, s in enumerate(sentences)})

        def ours() -> None:
            embedder = TextEmbedder(encoder, key, args.part_size)
            embedder.embed(text, f"{folder}/out")

        def theirs(batch_size: int) -> None:
            library.encode(
                sentences,
                batch_size=batch_size,
                normalize_embeddings=True,
                show_progress_bar=False,
            )

        return time_pairwise(
            {
                "teacher_embed": ours,
                "library": lambda: theirs(args.batch_size),
                "library_batch_32": lambda: theirs(32),
            },
            args.repeats,
        )


def main() -> None:
    """Run the benchmark."""
    args = get_parser().parse_args()

    import torch
    from sentence_transformers import SentenceTransformer
    from transformers.utils.logging import disable_progress_bar

    logging.disable(logging.INFO)
    disable_progress_bar()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    generator = random.Random(0)
    words = make_words(generator)
    size = {name: getattr(args, name) for name in LABSE}
    size = LABSE if args.labse else size
    distinct = make_sentences(words, args.sentences, generator)
    repeated = distinct[: max(1, args.sentences // args.copies)] * args.copies
    generator.shuffle(repeated)
    with tempfile.TemporaryDirectory() as folder:
        make_teacher(Path(folder), words, **size)
        encoder = SentenceEncoder(
            folder, device=args.device, batch_size=args.batch_size
        )
        library = SentenceTransformer(folder, device=args.device)
        difference = encoder.encode(distinct[:64]) - library.encode(distinct[:64])
        figures: dict = {
            **size,
            "sentences": args.sentences,
            "copies": args.copies,
            "batch_size": args.batch_size,
            "device": args.device,
            "largest_difference": float(abs(difference).max()),
        }
        rows = []
        for name, sentences in (("distinct", distinct), ("repeated", repeated)):
            seconds = measure(sentences, encoder, library, args)
            rates = {k: len(sentences) / v for k, v in seconds.items()}
            ratio = rates["teacher_embed"] / rates["library"]
            ratio_32 = rates["teacher_embed"] / rates["library_batch_32"]
            rows.append(
                [name, *(f"{rate:.1f}" for rate in rates.values())]
                + [f"{ratio:.3f}", f"{ratio_32:.3f}"]
            )
            figures |= {f"{name}_{k}_sentences_per_s": v for k, v in rates.items()}
            figures |= {f"{name}_ratio": ratio, f"{name}_ratio_batch_32": ratio_32}
    print_report(
        f"Sentences/s, random weights, {size['layers']} layers, {size['dim']}-d, "
        f"{args.sentences} made-up sentences, {args.device}",
        (
            "sentences",
            "teacher_embed",
            f"library, batch {args.batch_size}",
            "library, batch 32 (its default)",
            "ratio",
            "ratio to batch 32",
        ),
        rows,
        figures,
    )


if __name__ == "__main__":
    main()
