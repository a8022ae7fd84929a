"""The exported folder in sentence-transformers."""

import io
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile
import torch


@pytest.fixture(scope="module")
def folder(samu_exp, tmp_path_factory):
    from espnet_samu.checkpoint.export import export

    folder = tmp_path_factory.mktemp("export") / "my_student"
    export(None, samu_exp / "1epoch.pth", folder)
    return folder


@pytest.fixture(scope="module")
def recordings():
    rng = np.random.default_rng(0)
    sizes = (16000, 9000, 12345)
    return [rng.normal(0, 0.1, size).astype("float32") for size in sizes]


@pytest.fixture(scope="module")
def expected(folder, recordings):
    from espnet_samu.speech2embedding import Speech2Embedding

    speech2embedding = Speech2Embedding.from_pretrained(folder)
    return np.stack([speech2embedding(speech).numpy() for speech in recordings])


@pytest.fixture(scope="module")
def model(folder):
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), trust_remote_code=True)


def test_embeddings(model, recordings, expected, tmp_path):
    """Of every kind of input, in a batch: those of each utterance alone."""
    assert model.get_embedding_dimension() == expected.shape[1]
    found = model.encode(recordings)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    dicts = [{"array": speech, "sampling_rate": 16000} for speech in recordings]
    np.testing.assert_allclose(model.encode(dicts), expected, rtol=0, atol=1e-5)
    soundfile.write(tmp_path / "a.wav", recordings[0], 16000, subtype="FLOAT")
    found = model.encode(str(tmp_path / "a.wav"))
    np.testing.assert_allclose(found, expected[0], rtol=0, atol=1e-5)


def test_without_the_permission(folder, recordings, expected):
    from sentence_transformers import SentenceTransformer

    from espnet_samu.sentence_transformer import Student

    with pytest.raises(ValueError, match="trust_remote_code"):
        SentenceTransformer(str(folder))
    model = SentenceTransformer(modules=[Student(folder)])
    np.testing.assert_allclose(model.encode(recordings), expected, rtol=0, atol=1e-5)


def test_saved_again(model, recordings, expected, tmp_path):
    """And in another precision."""
    from sentence_transformers import SentenceTransformer

    model.save(str(tmp_path / "again"))
    again = SentenceTransformer(
        str(tmp_path / "again"),
        trust_remote_code=True,
        model_kwargs={"dtype": torch.bfloat16},
    )
    assert again.dtype == torch.bfloat16
    seen = []
    again[0].student.frontend.register_forward_pre_hook(
        lambda _, args: seen.append(args[0].dtype)
    )
    found = again.encode(recordings, convert_to_tensor=True).float().numpy()
    cosines = (found * expected).sum(1) / np.linalg.norm(found, axis=1)
    assert (cosines > 0.99).all()
    assert seen == [torch.float32]


def test_threads_wait_for_each_other(folder, recordings, monkeypatch):
    """For an encoder that keeps something of a batch, as ESPnet's do."""
    from espnet_samu.frontend.samu import SamuFrontend
    from espnet_samu.sentence_transformer import Student

    monkeypatch.setattr(SamuFrontend, "keeps_batch_state", True)
    student = Student(folder).eval()
    embed, inside, most = student.student.embed, [], []

    def slow(*args):
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.05)
        inside.pop()
        return embed(*args)

    monkeypatch.setattr(student.student, "embed", slow)
    features = [student.preprocess([speech]) for speech in recordings]
    with ThreadPoolExecutor(3) as pool, torch.no_grad():
        list(pool.map(student, features))
    assert most == [1, 1, 1]


@pytest.fixture(scope="module")
def teacher(expected):
    """A sentence encoder in the student's space that knows three words."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    tokenizer = Tokenizer(WordLevel({"a": 0, "b": 1, "c": 2}, unk_token="a"))
    weights = expected[[1, 0, 2]]
    return SentenceTransformer(modules=[StaticEmbedding(tokenizer, weights)])


@pytest.fixture(scope="module")
def both(model, teacher):
    """A student and its teacher as one model, as the template's README has it."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Router

    routes = {"audio": list(model), "text": list(teacher)}
    return SentenceTransformer(modules=[Router(routes)])


def test_text_and_speech(both, teacher, recordings, expected):
    np.testing.assert_allclose(both.encode(recordings), expected, rtol=0, atol=1e-5)
    texts = ["a", "b"]
    np.testing.assert_array_equal(both.encode(texts), teacher.encode(texts))


def test_mteb(both, recordings, expected, tmp_path):
    """FLEURS of a local copy by MTEB; needs its packages: make -C tools scenarios."""
    mteb = pytest.importorskip("mteb")
    pytest.importorskip("torchcodec")
    from datasets import Audio, Dataset
    from mteb.models import SentenceTransformerEncoderWrapper

    rows = []
    for index, (speech, text) in enumerate(zip(recordings, "bac")):
        file = io.BytesIO()
        soundfile.write(file, speech, 16000, format="WAV", subtype="FLOAT")
        audio = {"bytes": file.getvalue(), "path": f"{index}.wav"}
        rows.append({"id": index, "audio": audio, "transcription": text})
    rows.append({**rows[0], "id": 3, "transcription": "a"})  # not the nearest
    data = Dataset.from_list(rows).cast_column("audio", Audio(16000))
    (tmp_path / "fr_fr").mkdir()
    data.to_parquet(tmp_path / "fr_fr" / "test-00000-of-00001.parquet")
    (tmp_path / "README.md").write_text(
        "---\nconfigs:\n- config_name: fr_fr\n  data_files:\n  - split: test\n"
        "    path: fr_fr/test-*\n---\n"
    )

    wrapper = SentenceTransformerEncoderWrapper(both)
    wrapper.mteb_model_meta = wrapper.mteb_model_meta.model_copy(
        update={"modalities": ["audio", "text"]}
    )
    task = mteb.get_task("FleursA2TRetrieval.v2", hf_subsets=["fr_fr"])
    task.metadata.dataset["path"] = str(tmp_path)
    result = mteb.evaluate(wrapper, task, cache=None)
    scores = result.task_results[0].scores["test"][0]
    assert scores["hit_rate_at_1"] == 0.75


def test_bad_input(model, recordings, tmp_path):
    with pytest.raises(ValueError, match=r"inputs\[0\].* 8000"):
        model.encode([{"array": x, "sampling_rate": 8000} for x in recordings])
    soundfile.write(tmp_path / "a.wav", recordings[0], 8000)
    with pytest.raises(ValueError, match="a.wav.* 8000"):
        model.encode([str(tmp_path / "a.wav")])
    with pytest.raises(ValueError, match="text"):
        model.encode(["a sentence"])
