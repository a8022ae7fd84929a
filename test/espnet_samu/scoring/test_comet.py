import importlib.machinery
import sys
import types

import pytest

from espnet_samu.scoring import comet
from espnet_samu.scoring.comet import CometModel, CometScores


class FakeModel:
    """Scores by the length of the hypothesis."""

    def predict(self, samples, batch_size, gpus):
        self.samples, self.batch_size, self.gpus = samples, batch_size, gpus
        scores = [len(sample["mt"]) / 10 for sample in samples]
        return types.SimpleNamespace(scores=scores)


@pytest.fixture
def package(monkeypatch):
    """The package comet, made up."""
    module = types.ModuleType("comet")
    module.__spec__ = importlib.machinery.ModuleSpec("comet", None)
    module.download_model = lambda name: f"downloaded/{name}"
    module.load_from_checkpoint = lambda path: module.loaded.append(path) or FakeModel()
    module.loaded = []
    monkeypatch.setitem(sys.modules, "comet", module)
    monkeypatch.setattr(comet, "version", lambda name: f"9 of {name}")
    return module


def test_scores(package, tmp_path):
    model = CometModel("Unbabel/wmt22-comet-da", batch_size=2)
    scores = model.score(
        {"b": "x", "a": "y", "c": "z"},
        {"a": "12", "b": "1", "c": ""},
        {"a": "r", "b": "q"},
    )
    assert package.loaded == ["downloaded/Unbabel/wmt22-comet-da"]
    assert model.model.samples == [
        {"src": "y", "mt": "12", "ref": "r"},
        {"src": "x", "mt": "1", "ref": "q"},
    ]
    assert (model.model.batch_size, model.model.gpus) == (2, 0)
    score = scores.corpus_score(["a", "b"])
    assert score.value == pytest.approx(0.15)
    assert score.signature == (
        "nrefs:1|model:Unbabel/wmt22-comet-da|version:9 of unbabel-comet"
    )
    (tmp_path / "model.ckpt").touch()
    CometModel(str(tmp_path / "model.ckpt"))
    assert package.loaded[1] == str(tmp_path / "model.ckpt")


def test_not_installed(monkeypatch):
    monkeypatch.setattr(comet.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install 'unbabel-comet>=2'"):
        CometModel("Unbabel/wmt22-comet-da")
    assert CometScores({"a": 1.0}, "s").corpus_score(["a"]).value == 1.0
