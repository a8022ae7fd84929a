"""Tests of espnet_samu.train.encoding."""

import argparse

import numpy as np
import pytest
import torch

from espnet_samu.bin import samu_embed, st_inference
from espnet_samu.frontend.samu import SamuFrontend
from espnet_samu.train.encoding import (
    UpdateCounter,
    encode_waveforms,
    frames_settings,
)
from espnet_samu.utils.kaldi_io import read_text, read_vectors


class Model(UpdateCounter, torch.nn.Module):
    def __init__(self, freeze_encoder_updates):
        super().__init__()
        self.frontend = None
        self.encoder = torch.nn.Linear(1, 1)
        self.init_updates(freeze_encoder_updates)


def test_encoder_mode():
    model = Model(2)
    modes = []
    for _ in range(3):
        model.train()
        with model.encoder_mode():
            modes.append((torch.is_grad_enabled(), model.encoder.training))
        model.count_update()
    assert modes == [(False, False)] * 2 + [(True, True)]
    assert model.state_dict()["updates"] == 3
    # resumed after one update, one is left
    model.load_state_dict({**model.state_dict(), "updates": torch.tensor(1)})
    assert model.encoder_is_frozen()
    # what is not training is not frozen either
    assert not model.eval().encoder_is_frozen()
    with model.encoder_mode():
        assert torch.is_grad_enabled() and not model.encoder.training


def test_restart():
    model = Model(2)
    model.load_state_dict({**model.state_dict(), "updates": torch.tensor(5)})
    assert not model.encoder_is_frozen()
    model.restart_count()
    assert model.encoder_is_frozen() and model.updates == 0
    # a model that does not count takes what one that does has saved, and nothing else
    plain = Model(0)
    plain.load_state_dict(model.state_dict())
    plain.restart_count()
    with pytest.raises(RuntimeError, match='Unexpected .*: "other"'):
        plain.load_state_dict({**model.state_dict(), "other": torch.tensor(1)})


def test_without():
    model = Model(0)
    model.count_update()
    with model.encoder_mode():
        assert torch.is_grad_enabled() and model.encoder.training
    assert set(model.state_dict()) == {"encoder.weight", "encoder.bias"}
    with pytest.raises(ValueError, match="freeze_encoder_updates must not be .* -1"):
        Model(-1)


class ModelEncoding(UpdateCounter):
    """A frontend and an encoder that add 1 each, times a parameter."""

    def __init__(self, freeze_encoder_updates=0):
        super().__init__()
        self.frontend = Part()
        self.encoder = Encoder()
        self.init_updates(freeze_encoder_updates)


class Part(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.tensor(1.0))

    def forward(self, x, lengths):
        return self.factor * (x + 1), lengths


class Encoder(Part):
    def forward(self, x, lengths):
        return *super().forward(x, lengths), None


def half(frames, lengths):
    return frames / 2, lengths


def negative(frames, lengths):
    return -frames, lengths


@pytest.mark.parametrize("frozen", [False, True])
def test_order(frozen):
    model = ModelEncoding(1 if frozen else 0).train()
    speech, lengths = torch.tensor([[1.0, 3.0, 99.0]]), torch.tensor([2])
    frames, n = encode_waveforms(model, speech, lengths, half, negative)
    # -(1 + 1) / 2 + 1, and -(3 + 1) / 2 + 1; what is frozen is not masked
    assert frames.tolist() == ([[-1.0, -3.0]] if frozen else [[0.0, -1.0]])
    assert n is lengths
    assert frames.requires_grad is not frozen
    # nor is anything outside training
    frames, _ = encode_waveforms(model.eval(), speech, lengths, half, negative)
    assert frames.tolist() == [[-1.0, -3.0]]
    frames, _ = encode_waveforms(model, speech, lengths)
    assert frames.tolist() == [[3.0, 5.0]]


def load(folder, name="checkpoint.pth"):
    return torch.load(folder / name, weights_only=True)


def assert_same_training(one, other, atol=1e-6):
    for epoch, stats in one["reporter"]["stats"].items():
        for part in ("train", "valid"):
            theirs = other["reporter"]["stats"][epoch][part]
            assert theirs["loss"] == pytest.approx(stats[part]["loss"], abs=10 * atol)
    for name, value in one["model"].items():
        torch.testing.assert_close(other["model"][name], value, rtol=0, atol=atol)


@pytest.mark.timeout(60)
def test_translation_of_cached_frames(st_cmd, frontend_conf, data, tmp_path, caplog):
    """As without the cache, with masks and dropout behind it; resumed; read again."""
    from espnet_samu.tasks.st import STTask

    conf = {
        "frontend_conf": {**frontend_conf, "freeze": True},
        "specaug": "specaug",
        "specaug_conf": {
            "apply_time_warp": False,
            "freq_mask_width_range": [0, 4],
            "time_mask_width_range": [0, 9],
        },
        "postencoder": "length_adaptor",
        "postencoder_conf": {"length_adaptor_n_layers": 1},
        "frames_cache_dtype": "float32",
        "max_epoch": 3,
    }
    cached = {**conf, "frames_cache_dir": str(tmp_path / "frames")}
    STTask.main(cmd=st_cmd(tmp_path / "plain", **conf))
    caplog.set_level("INFO")
    STTask.main(cmd=st_cmd(tmp_path / "cached", **cached))
    # 4 utterances, which are the validation set, too: 3 epochs of both
    assert "Frames of 4 utterances were computed, of 20 read" in caplog.text
    assert "0 utterances are there. 0.0 of 20 GB (--frames_cache_gb)" in caplog.text
    assert_same_training(load(tmp_path / "plain"), load(tmp_path / "cached"))

    caplog.clear()
    begun = {**cached, "max_epoch": 1}
    STTask.main(cmd=st_cmd(tmp_path / "resumed", **begun))
    resumed = st_cmd(tmp_path / "resumed", "--resume", "true", **cached)
    STTask.main(cmd=resumed)
    assert caplog.text.count("Frames of 0 utterances were computed") == 2
    assert "4 utterances are there" in caplog.text
    assert_same_training(load(tmp_path / "cached"), load(tmp_path / "resumed"))
    caplog.clear()
    words = [f"--data_path_and_name_and_type={data}/wav.scp,speech,sound"]
    words += [f"--st_model_file={tmp_path}/cached/3epoch.pth", "--num_workers=0"]
    words += [f"--st_train_config={tmp_path}/cached/config.yaml", "--maxlenratio=-5"]
    st_inference.main([*words, f"--output_dir={tmp_path}/plain_decode"])
    words += [f"--output_dir={tmp_path}/decode"]
    st_inference.main([*words, f"--frames_cache_dir={tmp_path}/frames"])
    assert caplog.text.count("Frames of 0 utterances were computed, of 4 read") == 1
    for folder in ("decode", "plain_decode"):
        assert len(read_text(tmp_path / folder / "1best_recog" / "text")) == 4
    assert len(list((tmp_path / "frames").iterdir())) == 1


@pytest.mark.timeout(60)
def test_distillation_of_cached_frames(samu_cmd, frontend_conf, data, tmp_path, caplog):
    """A frozen encoder and a trained one of ESPnet's behind it."""
    from espnet_samu.tasks.samu import SAMUTask

    conf = {
        "frontend_conf": {**frontend_conf, "freeze": True},
        "encoder": "transformer",
        "encoder_conf": {
            "output_size": 8,
            "attention_heads": 2,
            "linear_units": 8,
            "num_blocks": 1,
            "input_layer": "linear",
        },
        "max_epoch": 2,
        "frames_cache_dtype": "float32",
    }
    SAMUTask.main(cmd=samu_cmd(tmp_path / "plain", **conf))
    caplog.set_level("INFO")
    conf["frames_cache_dir"] = str(tmp_path / "frames")
    SAMUTask.main(cmd=samu_cmd(tmp_path / "cached", **conf))
    assert "Frames of 4 utterances were computed, of 12 read" in caplog.text
    assert_same_training(load(tmp_path / "plain"), load(tmp_path / "cached"))

    caplog.clear()
    words = ["--samu_model_file", f"{tmp_path}/cached/2epoch.pth", "--num_workers", "0"]
    words += ["--wav_scp", f"{data}/wav.scp,sound", "--output_dir"]
    samu_embed.main([*words, f"{tmp_path}/plain"])
    frames = ["--frames_cache_dir", conf["frames_cache_dir"]]
    samu_embed.main([*words, f"{tmp_path}/kept", *frames])
    assert caplog.text.count("Frames of 0 utterances were computed, of 4 read") == 1
    kept = read_vectors(tmp_path / "kept" / "embed.scp")
    for utt, vector in read_vectors(tmp_path / "plain" / "embed.scp").items():
        np.testing.assert_allclose(kept[utt], vector, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "frontend_options, options, reason",
    [
        ({}, {}, "it is trained"),
        ({"freeze": True, "layer_mix": True}, {}, "it is trained"),
        ({"freeze": True}, {"noise_scp": "x"}, "noise_scp makes other speech"),
        (
            {"freeze": True},
            {"preprocessor_conf": {"data_aug_effects": [1]}},
            "data_aug_effects makes other speech",
        ),
        ({"freeze": True}, {"ngpu": 2}, "one process has several GPUs"),
        ({"freeze": True}, {"frames_cache_gb": 0}, None),
        ({"freeze": True}, {"frames_cache_dir": None}, None),
    ],
)
def test_no_cache(frontend_conf, caplog, tmp_path, frontend_options, options, reason):
    caplog.set_level("INFO")
    model = torch.nn.Module()
    model.frontend = SamuFrontend(**frontend_conf, **frontend_options)
    (tmp_path / "shape").write_text("utt1 16000\nutt2 8000,1\n")
    args = argparse.Namespace(
        frames_cache_dir="frames",
        frames_cache_gb=1.0,
        frames_cache_dtype="float16",
        ngpu=0,
        distributed=False,
        train_shape_file=[str(tmp_path / "shape"), "text_shape"],
        valid_shape_file=[str(tmp_path / "shape"), "text_shape"],
    )
    for name, value in options.items():
        setattr(args, name, value)
    assert frames_settings(args, model) is None
    if reason:
        assert f"computed in every epoch: {reason}" in caplog.text
    model.frontend = SamuFrontend(**frontend_conf, freeze=True)
    if not options:
        settings = frames_settings(args, model)
        assert settings.limit == 10**9 and settings.seconds == 3
        parts = tmp_path / "splits2"  # --num_splits_st 2
        parts.mkdir()
        for number in (0, 1):
            (parts / f"split.{number}").write_text("utt1 16000\n")
        args.train_shape_file = [str(parts), "text_shape"]
        assert frames_settings(args, model).seconds == 3.5
        args.frames_cache_dtype = "int8"
        with pytest.raises(ValueError, match="'int8' is not one of float16, bfloat16"):
            frames_settings(args, model)
        args.frames_cache_dtype, args.frames_cache_gb = "float16", -1
        with pytest.raises(ValueError, match="frames_cache_gb: -1 is negative"):
            frames_settings(args, model)
