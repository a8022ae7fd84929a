"""Small sentence-transformers model for tests and the embedded recipe."""

import os
import random
import tempfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

COLUMNS = ("lang", "text", "english")


class Pair(NamedTuple):
    """Sentence and its English translation."""

    lang: str
    text: str
    english: str


def read_bitext(path: str | os.PathLike[str]) -> list[Pair]:
    """Read a TSV file with the header `lang text english`, without quoting.

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
        `batch_size` pairs, or fewer where there are not so many distinct ones.

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


if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from transformers import PreTrainedTokenizerFast

PAD, UNKNOWN = "[PAD]", "[UNK]"


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
        dim: Size D of an embedding; a multiple of `heads`.
        layers: Number of transformer layers.
        heads: Number of attention heads.
        vocab_size: Most tokens to keep.
        max_length: Longest sentence, in tokens; the rest is cut off.

    Returns:
        The model on the CPU; its weights follow torch's random generator.

    Raises:
        ValueError: When `dim` is not a multiple of `heads`.
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
