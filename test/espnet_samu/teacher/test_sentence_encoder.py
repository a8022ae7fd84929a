import numpy as np
import pytest
import torch

from espnet_samu.teacher.sentence_encoder import SentenceEncoder
from espnet_samu.teacher.small_model import build_model

TEXTS = ["one two", "uno dos tres", "one", "one two"]


def test_equals_the_librarys_encode(tiny_model, tiny_teacher):
    expected = tiny_model.encode(TEXTS)
    raw = SentenceEncoder(str(tiny_teacher), device="cpu", normalize=False)
    np.testing.assert_allclose(raw.encode(TEXTS), expected, atol=1e-6)
    unit = SentenceEncoder(str(tiny_teacher), device="cpu", batch_size=2)
    vectors = unit.encode(TEXTS)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors, expected, atol=1e-6)
    assert vectors.shape == (4, unit.dimension) == (4, 8)
    assert vectors.dtype == np.float32


def test_repeated_sentences_are_run_once(tiny_teacher, monkeypatch):
    encoder = SentenceEncoder(str(tiny_teacher), device="cpu")
    seen = []
    encode = encoder.model.encode
    monkeypatch.setattr(
        encoder.model, "encode", lambda t, **kw: seen.extend(t) or encode(t, **kw)
    )
    vectors = encoder.encode(TEXTS)
    assert seen == TEXTS[:3]
    np.testing.assert_array_equal(vectors[0], vectors[3])
    assert encoder.encode([]).shape == (0, 8)


def test_mean_pooling_by_hand(tiny_model):
    features = tiny_model.preprocess(["one two", "uno dos tres"])
    assert features["attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1]]
    with torch.no_grad():
        output = tiny_model(features)
    mean = output["token_embeddings"][0, :2].mean(dim=0)
    torch.testing.assert_close(output["sentence_embedding"][0], mean)


def test_tokenizer_and_bad_sizes(tiny_model):
    tokens = tiny_model.tokenizer.tokenize("ONE, dos zwölf")
    assert tokens == ["one", "[UNK]", "dos", "[UNK]"]
    with pytest.raises(ValueError, match="dim must be a multiple of heads"):
        build_model(["a"], dim=9, heads=2)
    with pytest.raises(ValueError, match="batch_size must be at least 1: 0"):
        SentenceEncoder("any", batch_size=0)
