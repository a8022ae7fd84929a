"""Tiny models in the layout of the published ones."""

import io
import json
import random

import pytest

from ...egs2.tiny_models import make_seamless

_WORDS = {
    "en": "the a cat dog house tree sleeps runs small green and under not is Peter",
    "de": "die der Katze Hund Haus Baum schläft läuft kleine grüne und unter nicht",
    "ru": "кошка собака дом дерево спит бежит маленький зелёный и под не это",
    "zh": "猫 狗 房子 树 睡觉 跑 小 绿色 和 在 不 是",
}


@pytest.fixture(scope="session")
def sentences():
    """Sentences by language: random words; random.seed 0."""
    rng = random.Random(0)
    return {
        lang: [
            " ".join(rng.choices(words.split(), k=6)) + rng.choice(".?!")
            for _ in range(200)
        ]
        for lang, words in _WORDS.items()
    }


@pytest.fixture(scope="session")
def train_sentencepiece(sentences):
    """Makes the content of a unigram or bpe model that is trained on the sentences."""
    import sentencepiece

    def make(model_type):
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=(line for lines in sentences.values() for line in lines),
            model_writer=model,
            model_type=model_type,
            vocab_size=160,
            hard_vocab_limit=False,
            character_coverage=1.0,
            minloglevel=2,
        )
        return model.getvalue()

    return make


def _save(folder, model_class, config_class, sentencepiece_model, vocab_size):
    """Save a random model of torch seed 0, with a bias of the logits if it has one."""
    import torch

    config = config_class(
        vocab_size=vocab_size,
        d_model=16,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=64,
        scale_embedding=True,
        init_std=0.5,
    )
    torch.manual_seed(0)
    model = model_class(config)
    if hasattr(model, "final_logits_bias"):
        torch.nn.init.normal_(model.final_logits_bias)
    model.save_pretrained(folder)
    (folder / "sentencepiece.bpe.model").write_bytes(sentencepiece_model)


def _pieces(model):
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    return [processor.id_to_piece(i) for i in range(processor.get_piece_size())]


def _write(folder, name, content):
    (folder / name).write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture(scope="session")
def mbart_folder(train_sentencepiece, tmp_path_factory):
    """Folder of a random mBART-50: unigram pieces, 52 codes."""
    from transformers import MBartConfig, MBartForConditionalGeneration

    folder = tmp_path_factory.mktemp("mbart")
    model = train_sentencepiece("unigram")
    n_pieces = len(_pieces(model))
    size = n_pieces + 1 + 52 + 1
    _save(folder, MBartForConditionalGeneration, MBartConfig, model, size)
    # As in older checkpoints; en_XX is the fourth code.
    config = json.loads((folder / "config.json").read_text())
    more = {"forced_bos_token_id": n_pieces + 1 + 3, "num_hidden_layers": 1}
    _write(folder, "config.json", {**config, **more})
    _write(folder, "tokenizer_config.json", {"tokenizer_class": "MBart50Tokenizer"})
    return folder


@pytest.fixture(scope="session")
def m2m100_folder(train_sentencepiece, tmp_path_factory):
    """Folder of a random M2M-100: bpe pieces in another order, 100 codes, 8 rows more.

    One piece has no row.
    """
    from transformers import M2M100Config, M2M100ForConditionalGeneration

    folder = tmp_path_factory.mktemp("m2m100")
    model = train_sentencepiece("bpe")
    pieces = _pieces(model)[3:]
    pieces.remove("猫")
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *pieces[::-1]]
    size = len(tokens) + 100 + 8
    _save(folder, M2M100ForConditionalGeneration, M2M100Config, model, size)
    _write(folder, "vocab.json", {token: i for i, token in enumerate(tokens)})
    _write(folder, "tokenizer_config.json", {"tokenizer_class": "M2M100Tokenizer"})
    return folder


@pytest.fixture(scope="session")
def nllb_folder(train_sentencepiece, tmp_path_factory):
    """Folder of a random NLLB: bpe pieces, 202 codes, 2 rows more."""
    from transformers import M2M100Config, M2M100ForConditionalGeneration

    folder = tmp_path_factory.mktemp("nllb")
    model = train_sentencepiece("bpe")
    size = len(_pieces(model)) + 1 + 202 + 1 + 2
    _save(folder, M2M100ForConditionalGeneration, M2M100Config, model, size)
    _write(folder, "tokenizer_config.json", {"tokenizer_class": "NllbTokenizer"})
    return folder


@pytest.fixture(scope="session")
def seamless_folder(train_sentencepiece, tmp_path_factory):
    """Folder of a random SeamlessM4T v2: bpe pieces, its codes, marks of data."""
    folder = tmp_path_factory.mktemp("seamless")
    sizes = {"hidden_size": 16, "initializer_range": 0.5}
    make_seamless(folder, train_sentencepiece("bpe"), **sizes)
    return folder


@pytest.fixture(scope="session")
def targets(sentences, tmp_path_factory):
    """Kaldi text file of the English sentences."""
    from espnet_samu.utils.kaldi_io import write_text

    path = tmp_path_factory.mktemp("targets") / "text"
    write_text(path, {f"utt{i}": line for i, line in enumerate(sentences["en"])})
    return path
