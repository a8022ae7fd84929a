"""A sentence-transformers model small enough to be trained in a minute."""

import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING

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
    with tempfile.TemporaryDirectory() as folder:  # the library loads, never wraps
        BertModel(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        transformer = Transformer(folder, max_seq_length=max_length)
    return SentenceTransformer(
        modules=[transformer, Pooling(dim, pooling_mode="mean"), Normalize()],
        device="cpu",
    )
