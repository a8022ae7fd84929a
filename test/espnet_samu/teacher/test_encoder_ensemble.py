import numpy as np
import pytest

from espnet_samu.teacher.abs_sentence_encoder import AbsSentenceEncoder
from espnet_samu.teacher.encoder_ensemble import EncoderEnsemble


class Table(AbsSentenceEncoder):
    """Looks vectors up."""

    def __init__(self, table, commit=None):
        self.table = {k: np.array(v, dtype=np.float32) for k, v in table.items()}
        self.commit = commit

    @property
    def dimension(self):
        return len(self.table["a"])

    @property
    def commits(self):
        return [self.commit]

    @property
    def prompts(self):
        return [f"{self.commit}: "]

    def truncated(self, texts):
        return {text: self.dimension for text in texts if text in "bc"}

    def encode(self, texts, on_batch=None):
        if on_batch is not None:
            on_batch(len(texts))
        return np.stack([self.table[text] for text in texts])


A = Table({"a": [3, 4], "b": [0, 2]}, "c0ffee")
B = Table({"a": [0, -5], "b": [1, 0]})
C = Table({"a": [0, 0, 2], "b": [0, 2, 0]})


def test_concatenation_by_hand():
    raw = EncoderEnsemble([A, C], "concat", normalize=False)
    expected = np.array([[0.6, 0.8, 0, 0, 1], [0, 1, 0, 1, 0]])
    counts = []
    np.testing.assert_allclose(raw.encode(["a", "b"], counts.append), expected)
    assert counts == [2]
    assert (raw.dimension, raw.commits) == (5, ["c0ffee", None])
    assert raw.prompts == ["c0ffee: ", "None: "]
    assert raw.truncated(["a", "b"]) == {"b": 2}
    unit = EncoderEnsemble([A, C]).encode(["a", "b"])
    np.testing.assert_allclose(unit, expected / np.sqrt(2), rtol=1e-6)
    assert unit.dtype == np.float32


def test_mean_by_hand():
    raw = EncoderEnsemble([A, B], "mean", normalize=False)
    np.testing.assert_allclose(
        raw.encode(["a", "b"]), [[0.3, -0.1], [0.5, 0.5]], atol=1e-7
    )
    assert raw.dimension == 2
    unit = EncoderEnsemble([A, B], "mean").encode(["b"])
    np.testing.assert_allclose(unit, [[0.5**0.5] * 2], rtol=1e-6)


def test_refused():
    with pytest.raises(ValueError, match=r"of one size, not \[2, 3\]: use 'concat'"):
        EncoderEnsemble([A, C], "mean")
    with pytest.raises(ValueError, match="combine must be one of .*: 'sum'"):
        EncoderEnsemble([A, B], "sum")
    with pytest.raises(ValueError, match="encoders must be two or more: 1"):
        EncoderEnsemble([A])
    opposite = Table({"a": [-3, -4]})
    with pytest.raises(ValueError, match="mean of teachers.*all zeros.*'a'"):
        EncoderEnsemble([A, opposite], "mean").encode(["a"])
