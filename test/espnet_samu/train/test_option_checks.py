import pytest
import torch

from espnet_samu.train.option_checks import check_gpus, check_numbers, ngpu_of


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
