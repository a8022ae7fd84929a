"""Tests of espnet_samu.teacher.sentence_encoder."""

import json
import shutil

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from espnet_samu.bin.teacher_train import build_model
from espnet_samu.teacher import sentence_encoder
from espnet_samu.teacher.abs_sentence_encoder import AbsSentenceEncoder
from espnet_samu.teacher.sentence_encoder import (
    EncoderEnsemble,
    SentenceEncoder,
    token_batches,
)


@pytest.mark.parametrize(
    "batch_size, batch_tokens, expected",
    [
        (2, 100, [[1, 4], [0, 2], [3]]),
        (9, 12, [[1], [4, 0, 2], [3]]),  # 9 x 2 > 12, 4 x 3 = 12
        (9, 5, [[1], [4], [0], [2, 3]]),  # the first one is too long by itself
    ],
)
def test_bounded_by_sentences_and_by_padded_tokens(batch_size, batch_tokens, expected):
    batches = token_batches([3, 9, 2, 0, 4], batch_size, batch_tokens)
    assert list(batches) == expected


def test_nothing():
    assert list(token_batches([], 2, 10)) == []


TEXTS = ["one two", "uno dos tres", "one", "one two"]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


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
    assert unit.commits == [None]


def test_labses_modules_are_all_run(labse_like):
    """The Dense counts, and BERT's own pooler is another one."""
    library = SentenceTransformer(labse_like, device="cpu")
    vectors = SentenceEncoder(labse_like, device="cpu", batch_size=2).encode(TEXTS)
    np.testing.assert_allclose(vectors, library.encode(TEXTS), atol=1e-6)

    names = [type(module).__name__ for module in library]
    assert names == ["Transformer", "Pooling", "Dense", "Normalize"]
    with torch.no_grad():
        features = library.preprocess(TEXTS)
        output = library.transformers_model(
            features["input_ids"], attention_mask=features["attention_mask"]
        )
        cls = output.last_hidden_state[:, 0]
        by_hand = torch.nn.functional.normalize(library[2].linear(cls).tanh(), dim=1)
        without_dense = torch.nn.functional.normalize(cls, dim=1)
        pooler = torch.nn.functional.normalize(output.pooler_output, dim=1)
    np.testing.assert_allclose(vectors, by_hand, atol=1e-6)
    for wrong in (without_dense, pooler):
        cosine = (torch.tensor(vectors) * wrong).sum(dim=1)
        assert cosine.abs().max() < 0.9


def test_repeated_sentences_are_run_once_the_longest_first(tiny_teacher, monkeypatch):
    encoder = SentenceEncoder(str(tiny_teacher), device="cpu", batch_size=2)
    seen, counts = [], []
    encode = encoder.model.encode
    monkeypatch.setattr(
        encoder.model, "encode", lambda t, **kw: seen.append(t) or encode(t, **kw)
    )
    vectors = encoder.encode(TEXTS, counts.append)
    assert seen == [["uno dos tres", "one two"], ["one"]]
    assert counts == [2, 1]
    np.testing.assert_array_equal(vectors[0], vectors[3])
    assert encoder.encode([]).shape == (0, 8)
    monkeypatch.setattr(sentence_encoder, "BATCH_TOKENS_CPU", 3)
    encoder.encode(TEXTS)
    assert seen[2:] == [["uno dos tres"], ["one two"], ["one"]]


def test_half_precision(labse_like):
    full = SentenceEncoder(labse_like, device="cpu")
    half = SentenceEncoder(labse_like, device="cpu", dtype="bfloat16")
    assert half.model.dtype == torch.bfloat16 != full.model.dtype == torch.float32
    vectors = half.encode(TEXTS)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, full.encode(TEXTS), atol=0.05)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)


def test_prompt(tiny_model, tiny_teacher, tmp_path):
    encoder = SentenceEncoder(str(tiny_teacher), device="cpu", prompt="uno ")
    plain = SentenceEncoder(str(tiny_teacher), device="cpu")
    assert (encoder.prompts, plain.prompts) == (["uno "], [""])
    expected = plain.encode(["uno one two", "uno dos"])
    np.testing.assert_allclose(
        encoder.encode(["one two", "dos"]), expected, rtol=0, atol=1e-6
    )
    # A model's own default prompt is recorded, and "" switches it off.
    folder = shutil.copytree(tiny_teacher, tmp_path / "own")
    config = json.loads((folder / "config_sentence_transformers.json").read_text())
    config.update(prompts={"query": "uno "}, default_prompt_name="query")
    (folder / "config_sentence_transformers.json").write_text(json.dumps(config))
    own = SentenceEncoder(str(folder), device="cpu")
    assert own.prompts == ["uno "]
    np.testing.assert_allclose(own.encode(["dos"]), expected[1:], rtol=0, atol=1e-6)
    off = SentenceEncoder(str(folder), device="cpu", prompt="")
    np.testing.assert_array_equal(off.encode(["dos"]), plain.encode(["dos"]))


def test_truncated(tiny_teacher):
    # 128 tokens, a word each.
    texts = ["one " * 128, "two " * 129, "uno"]
    encoder = SentenceEncoder(str(tiny_teacher), device="cpu")
    assert encoder.truncated(texts) == {texts[1]: 128}
    encoder = SentenceEncoder(str(tiny_teacher), device="cpu", prompt="dos ")
    assert encoder.truncated(texts) == {texts[0]: 128, texts[1]: 128}


@pytest.mark.parametrize("place", ["modules.json", "config.json"])
def test_code_of_its_own_is_never_run(tiny_teacher, tmp_path, monkeypatch, place):
    folder = shutil.copytree(tiny_teacher, tmp_path / "coded")
    touched = tmp_path / "touched"
    code = f"import pathlib\npathlib.Path({str(touched)!r}).touch()\n"
    # Beside the model, and where Python looks for modules.
    for where in (folder, tmp_path):
        (where / "custom_st.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    content = json.loads((folder / place).read_text())
    if place == "modules.json":
        content[0]["type"] = "custom_st.Transformer"
    else:
        content["model_type"] = "new"
        content["auto_map"] = {"AutoConfig": "custom_st.Config"}
    (folder / place).write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"{place}.*never run .* go on from stage 7"):
        SentenceEncoder(str(folder), device="cpu")
    assert not touched.exists()


def test_hub_id_from_the_cache(labse_like, tmp_path, monkeypatch):
    repo = tmp_path / "models--some--teacher"
    shutil.copytree(labse_like, repo / "snapshots" / COMMIT)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(COMMIT)
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path))
    encoder = SentenceEncoder("some/teacher", device="cpu")
    assert encoder.commits == [COMMIT]
    expected = SentenceEncoder(labse_like, device="cpu").encode(TEXTS)
    np.testing.assert_array_equal(encoder.encode(TEXTS), expected)
    message = r"teacher some/teacher \(revision v2\): .* not in the hub's cache"
    with pytest.raises(ConnectionError, match=message):
        SentenceEncoder("some/teacher", "v2")


def test_unknown_model():
    for name in ("no/such-model", "sentence-transformers/nosuch"):
        message = f"teacher {name}: no such folder, HF_HUB_OFFLINE is set"
        with pytest.raises(ConnectionError, match=message):
            SentenceEncoder(name.removeprefix("sentence-transformers/"))
    with pytest.raises(FileNotFoundError, match="exp/no/such/folder: no such folder$"):
        SentenceEncoder("exp/no/such/folder")


def test_bare_transformer_is_refused(labse_like, tmp_path):
    """The library would take mean pooling instead of CLS and Dense."""
    folder = shutil.copytree(labse_like, tmp_path / "bare")
    (folder / "modules.json").unlink()
    with pytest.raises(ValueError, match="bare' .*modules.json is not there"):
        SentenceEncoder(str(folder))


def test_nan_weights_name_the_sentence(tiny_teacher):
    encoder = SentenceEncoder(str(tiny_teacher), device="cpu")
    row = encoder.model.tokenizer.convert_tokens_to_ids("tres")
    with torch.no_grad():
        table = encoder.model.transformers_model.get_input_embeddings().weight
        table[row] = float("nan")
    with pytest.raises(ValueError, match="not finite, .* that of 'uno dos tres'"):
        encoder.encode(TEXTS)


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
    with pytest.raises(ValueError, match="dtype must be one of .*: 'int8'"):
        SentenceEncoder("any", dtype="int8")


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
