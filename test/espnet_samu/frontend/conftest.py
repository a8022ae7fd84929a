"""Tiny speech encoders of every family, and transformers' own beside them."""

import importlib

import pytest
import torch
from transformers import AutoConfig, AutoModel

from espnet_samu.frontend.samu import SamuFrontend

# Field of model_conf -> Whisper's name of it.
_WHISPER = {"layerdrop": "encoder_layerdrop", "hidden_dropout": "dropout"}
_DROPOUTS = ("hidden", "attention", "activation", "feat_proj", "conformer_conv")


@pytest.fixture(scope="session", autouse=True)
def imports():
    """Imports transformers' models here, so that no test's time counts it."""
    for name in (
        "wav2vec2",
        "hubert",
        "wavlm",
        "wav2vec2_bert",
        "whisper",
        "seamless_m4t",
        "seamless_m4t_v2",
    ):
        importlib.import_module(f"transformers.models.{name}.modeling_{name}")


@pytest.fixture(scope="session")
def translate():
    """Translates fields of model_conf to a family's names; Whisper masks if asked."""

    def make(family, conf):
        if family != "whisper":
            return dict(conf)
        conf = {_WHISPER.get(key, key): value for key, value in conf.items()}
        return {"apply_spec_augment": True, **conf}

    return make


@pytest.fixture
def exact(speech_models):
    """Makes the model_conf of a family without anything random in training."""

    def make(family):
        fresh = AutoConfig.for_model(speech_models[family]["model_type"])
        names = [f"{name}_dropout" for name in _DROPOUTS] + ["dropout"]
        conf = {name: 0.0 for name in names if hasattr(fresh, name)}
        return {**conf, "mask_time_prob": 0.0}

    return make


@pytest.fixture
def build(speech_models, translate):
    """Makes a frontend of a family in eval mode; torch seed 0."""

    def make(family, conf=None, **kwargs):
        torch.manual_seed(0)
        model_conf = {**speech_models[family], **translate(family, conf or {})}
        return SamuFrontend(model_conf=model_conf, **kwargs).eval()

    return make


@pytest.fixture
def save(speech_models, tmp_path):
    """Saves a plain transformers model (seed 0) with its extractor to a folder."""

    def make(family, extractor=None, auto_class=AutoModel, **conf):
        conf = {**speech_models[family], **conf}
        config = AutoConfig.for_model(**conf)
        torch.manual_seed(0)
        make_model = getattr(auto_class, "from_config", auto_class)
        model = make_model(config).eval()
        model.save_pretrained(tmp_path / "model")
        if extractor is not None:
            extractor.save_pretrained(tmp_path / "model")
        return str(tmp_path / "model"), model

    return make


@pytest.fixture(scope="session")
def plain_model():
    """Makes transformers' own model with the weights of a frontend's."""

    def make(frontend):
        config = frontend.model.config
        plain = frontend.family.model_class(config)(config).eval()
        plain.load_state_dict(frontend.model.state_dict())
        return plain

    return make


@pytest.fixture(scope="session")
def hidden_states(plain_model):
    """Computes transformers' hidden states of one utterance with a frontend's model."""

    def compute(frontend, speech, lengths):
        features = frontend.family.features(frontend.model, speech, lengths)
        plain = plain_model(frontend)
        with torch.no_grad():
            states = plain(features, output_hidden_states=True).hidden_states
        n = int(frontend.family.frame_lengths(frontend.model, lengths))
        return [state[:, :n] for state in states]

    return compute
