"""Tests of espnet_samu.train.option_checks."""

import pytest
import torch
from espnet2.asr.encoder.e_branchformer_encoder import EBranchformerEncoder

from espnet_samu.decoder.mbart import MBartDecoder
from espnet_samu.frontend.samu import SamuFrontend
from espnet_samu.layers.adapters import add_adapters
from espnet_samu.layers.trainable import set_trainable
from espnet_samu.train.option_checks import (
    check_gpus,
    check_numbers,
    has_unused_parameters,
    ngpu_of,
)


class Model(torch.nn.Module):
    """A model of ESPnet with some of its parts."""

    def __init__(self, **parts):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)


def check(model, run, expected):
    """The answer, and what eight updates say."""
    assert has_unused_parameters(model) is expected
    torch.manual_seed(0)
    model.train()
    unused = set()
    for _ in range(8):
        model.zero_grad()
        run().square().sum().backward()
        unused |= {
            name
            for name, p in model.named_parameters()
            if p.requires_grad and p.grad is None
        }
    assert bool(unused) is expected, unused


@pytest.fixture
def check_frontend(speech_models, noise):
    """Builds a frontend and checks its model, which a function may change first."""

    def run(family, conf, expected, change=lambda model: None, **kwargs):
        model_conf = {**speech_models[family], **conf}
        model = Model(frontend=SamuFrontend(model_conf=model_conf, **kwargs))
        change(model)
        speech = noise(5000, 4000)
        check(model, lambda: model.frontend(*speech)[0], expected)

    return run


@pytest.mark.parametrize(
    "family, field",
    [
        ("wav2vec2-layer", "layerdrop"),
        ("wav2vec2-group", "layerdrop"),
        ("hubert", "layerdrop"),
        ("wavlm", "layerdrop"),
        ("wav2vec2-bert", "layerdrop"),
        ("whisper", "encoder_layerdrop"),
    ],
)
@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_layer_drop(check_frontend, family, field, rate):
    conf = {field: rate, "mask_time_prob": 0.0, "mask_feature_prob": 0.0}
    check_frontend(family, conf, rate > 0)


DROP = {"layerdrop": 0.5, "mask_time_prob": 0.0}


def test_layer_drop_of_what_is_frozen(check_frontend):
    check_frontend("wav2vec2-layer", DROP, False, freeze=True, layer_mix=True)
    check_frontend(
        "wav2vec2-layer", DROP, True, lambda model: set_trainable(model, "lna_e")
    )

    def adapt(model):
        add_adapters(model, {"encoder": {"type": "houlsby", "size": 8}})
        set_trainable(model, "adapters")

    check_frontend("wav2vec2-layer", DROP, False, adapt)


@pytest.mark.parametrize(
    "conf, expected",
    [
        ({"mask_time_prob": 0.0, "mask_feature_prob": 0.1}, True),
        ({"mask_time_prob": 0.1, "mask_feature_prob": 0.1}, False),
        ({"mask_time_prob": 0.1, "apply_spec_augment": False}, True),
    ],
)
@pytest.mark.parametrize("family", ["wav2vec2-layer", "wav2vec2-bert"])
def test_mask_vector(check_frontend, family, conf, expected):
    lengths = {"mask_time_length": 2, "mask_feature_length": 2}
    check_frontend(family, {**conf, **lengths}, expected)


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_others(mbart_conf, rate):
    torch.manual_seed(0)
    frames, lengths = torch.randn(2, 20, 16), torch.tensor([20, 15])
    conf = {**mbart_conf, "decoder_layerdrop": rate}
    model = Model(decoder=MBartDecoder(30, 16, model_conf=conf))
    tokens = torch.tensor([[29, 5], [29, 7]]), torch.tensor([2, 2])
    check(model, lambda: model.decoder(frames, lengths, *tokens)[0], rate > 0)
    conf = {"num_blocks": 2, "cgmlp_linear_units": 16, "layer_drop_rate": rate}
    encoder = EBranchformerEncoder(16, 8, 2, **conf)
    model = Model(encoder=encoder)
    check(model, lambda: encoder(frames, lengths)[0], rate > 0)
    model.freeze_encoder_updates = 1
    assert has_unused_parameters(model)


def test_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    check_gpus(0)
    check_gpus(1)
    with pytest.raises(ValueError, match="--ngpu 2: torch finds 1 GPUs"):
        check_gpus(2)


@pytest.mark.parametrize(
    "cmd, ngpu",
    [
        (["--ngpu", "2"], 2),
        (["--config", "a.yaml", "--ngpu=1", "--num_workers", "3"], 1),
        (["--optim_conf", "lr=1"], 0),
    ],
)
def test_ngpu(cmd, ngpu):
    assert ngpu_of(cmd) == ngpu


@pytest.mark.parametrize("text", ["1e-4", "1E5", "-2", "0.5", ".5", "3.e2"])
def test_numbers_as_text(text):
    options = {
        "grad_clip": 1.0,
        "optim": "5",  # not nested: the parser's own business
        "optim_conf": {"lr": text, "betas": [0.9, text]},
        "frontend_conf": {"fs": "16000", "model_conf": {"hidden_dropout": text}},
    }
    with pytest.raises(ValueError) as info:
        check_numbers(options)
    names = ("optim_conf.lr", "optim_conf.betas", "frontend_conf.model_conf.hidden_")
    for name in names:
        assert name in str(info.value)
    assert f"optim_conf.lr: '{text}', " in str(info.value)
    assert "fs" not in str(info.value).replace("frontend_conf", "")


def test_texts():
    options = {
        "preprocessor_conf": {"noise_db_range": "13_15", "rir_scp": None},
        "frontend_conf": {"fs": "16k", "model": "12", "revision": "1e5"},
        "optim_conf": {"lr": 1.0e-4},
        "decoder_conf": {"model_conf": {"activation_function": "e5"}},
    }
    check_numbers(options)
