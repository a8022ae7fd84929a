"""A tiny sentence-transformers model."""

import pytest


@pytest.fixture(scope="session")
def tiny_model():
    """Untrained model, D = 8, torch seed 0; not normalised by itself."""
    import torch
    from sentence_transformers import SentenceTransformer

    from espnet_samu.bin.teacher_train import build_model

    torch.manual_seed(0)
    model = build_model(["uno dos tres", "one two three"], dim=8, heads=2)
    return SentenceTransformer(modules=[model[0], model[1]], device="cpu").eval()


@pytest.fixture(scope="session")
def tiny_teacher(tiny_model, tmp_path_factory):
    """Folder of the tiny model."""
    folder = tmp_path_factory.mktemp("teacher")
    tiny_model.save(str(folder), create_model_card=False)
    return folder


@pytest.fixture(scope="session")
def labse_like(tmp_path_factory):
    """Folder of LaBSE's modules, random and tiny: D = 8, torch seed 1.

    BERT, CLS pooling, Dense with tanh, L2; characters are tokens.
    """
    import string

    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from transformers import BertConfig, BertModel, BertTokenizerFast

    torch.manual_seed(1)
    letters = list(string.ascii_lowercase)
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters]
    pieces += [f"##{letter}" for letter in letters]
    tokenizer = BertTokenizerFast(vocab={piece: i for i, piece in enumerate(pieces)})
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
        initializer_range=0.5,
    )
    bert, folder = (str(tmp_path_factory.mktemp(n)) for n in ("bert", "labse_like"))
    BertModel(config).save_pretrained(bert)
    tokenizer.save_pretrained(bert)
    modules = [
        Transformer(bert, max_seq_length=64),
        Pooling(8, pooling_mode="cls"),
        Dense(8, 8),
        Normalize(),
    ]
    model = SentenceTransformer(modules=modules, device="cpu")
    model.save(folder, create_model_card=False)
    return folder
