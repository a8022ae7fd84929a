import copy
import json
import shutil

import pytest
import torch
import yaml
from espnet2.torch_utils.set_all_random_seed import set_all_random_seed
from transformers import AutoModel

import espnet_samu
from espnet_samu.frontend.samu import SamuFrontend
from espnet_samu.tasks.samu import SAMUTask
from espnet_samu.utils.kaldi_io import read_vectors


def read_args(exp):
    """Model as built before its training, and its configuration."""
    set_all_random_seed(3)
    return SAMUTask.build_model_from_file(exp / "config.yaml")


def test_one_update(samu_exp, data, batch):
    model, _ = read_args(samu_exp)
    vectors = read_vectors(data / "embed.scp").values()
    embed = torch.stack([torch.tensor(vector) for vector in vectors])
    model.train()
    loss, _, weight = model(*batch, embed)
    assert weight == 4
    loss.backward()
    expected = {
        name: p.detach() - 0.1 * p.grad if p.requires_grad else p.detach()
        for name, p in model.named_parameters()
    }
    before = copy.deepcopy(model.state_dict())
    trained = torch.load(samu_exp / "1epoch.pth")
    moved = set()
    for name, value in expected.items():
        torch.testing.assert_close(trained[name], value, rtol=1e-4, atol=1e-5)
        if not torch.equal(trained[name], before[name]):
            moved.add(name)
    assert {"pooling.query.weight", "projector.linear.weight"} < moved
    assert not any(
        name.startswith("frontend.model.feature_extractor") for name in moved
    )
    assert "frontend.model.feature_projection.projection.weight" in moved

    budget = json.loads((samu_exp / "budget.json").read_text())
    assert budget["pooling"] == {"total": 16, "trainable": 16}
    assert budget["projector"] == {"total": 68, "trainable": 68}
    frozen = sum(p.numel() for p in model.frontend.model.feature_extractor.parameters())
    counts = budget["frontend"]
    assert counts["total"] - counts["trainable"] == frozen > 0


def test_ways_to_initialise():
    words = ["--output_dir", "x", "--init", "normal"]
    assert SAMUTask.get_parser().parse_args(words).init == "normal"


def test_checkpoint(samu_exp, batch):
    model, args = SAMUTask.build_model_from_file(None, samu_exp / "1epoch.pth")
    state = torch.load(samu_exp / "1epoch.pth")
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())
    assert args.frontend_conf["pretrained"] is False
    assert model.eval().embed(*batch).embedding.shape == (4, 4)


def test_config_needs_no_folder(samu_cmd, frontend_conf, tmp_path, batch):
    source, exp = tmp_path / "source", tmp_path / "exp"
    torch.manual_seed(7)
    plain = SamuFrontend(**frontend_conf).model
    plain.save_pretrained(source)
    conf = {"model": str(source), "freeze": True, "normalize_waveform": False}
    SAMUTask.main(cmd=samu_cmd(exp, frontend_conf=conf))
    shutil.rmtree(source)
    model, args = SAMUTask.build_model_from_file(None, exp / "1epoch.pth")
    assert args.frontend_conf["model"] == str(source)
    assert args.frontend_conf["freeze"] is True
    # frozen: still the folder's numbers, and the same frames
    for name, value in plain.state_dict().items():
        assert torch.equal(model.frontend.model.state_dict()[name], value)
    again = AutoModel.from_config(plain.config).eval()
    again.load_state_dict(plain.state_dict())
    with torch.no_grad():
        frames = again(batch[0][1:2]).last_hidden_state
        torch.testing.assert_close(model.eval().frontend(*batch)[0][1:2], frames)


def test_whisper_has_the_window_of_the_data(samu_cmd, speech_models, tmp_path):
    """From the command line to config.yaml, and to the model that it rebuilds."""
    options = ("--dry_run", "true", "--max_wav_duration", "0.4")
    conf = {"model_conf": speech_models["whisper"]}
    SAMUTask.main(cmd=samu_cmd(tmp_path, *options, frontend_conf=conf))
    model, args = SAMUTask.build_model_from_file(tmp_path / "config.yaml")
    assert args.frontend_conf["window_seconds"] == 0.4
    assert model.frontend.family.longest() == 6400
    assert model.frontend.model.embed_positions.weight.shape == (20, 16)


def test_losses(samu_cmd, tmp_path, batch):
    losses = {
        "cosine": {"weight": 2.0, "loss_scale": 10.0},
        "contrastive": {"weight": 0.5, "temperature": 0.5},
    }
    SAMUTask.main(cmd=samu_cmd(tmp_path, "--dry_run", "true", losses=losses))
    model, _ = SAMUTask.build_model_from_file(tmp_path / "config.yaml")
    assert model.loss.weights == {"cosine": 2.0, "contrastive": 0.5}
    embed = torch.eye(4)
    loss, stats, _ = model.eval()(*batch, embed)
    student = model.embed(*batch).embedding
    cosine = 10 * (1 - student.diagonal()).mean()
    log_probs = [(student / 0.5).log_softmax(dim).diagonal() for dim in (0, 1)]
    contrastive = -torch.cat(log_probs).mean()
    torch.testing.assert_close(stats["loss_cosine"][0], cosine.detach())
    torch.testing.assert_close(stats["loss_contrastive"][0], contrastive.detach())
    torch.testing.assert_close(loss[0], 2 * cosine + 0.5 * contrastive)


def test_collect_stats(samu_cmd, tmp_path):
    SAMUTask.main(cmd=samu_cmd(tmp_path, "--collect_stats", "true"))
    lines = (tmp_path / "train" / "speech_shape").read_text().splitlines()
    assert lines == ["utt1 3000", "utt2 5000", "utt3 2000", "utt4 4000"]
    lines = (tmp_path / "valid" / "embed_shape").read_text().splitlines()
    assert lines[0] == "utt1 4"


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_poolings(samu_cmd, tmp_path, batch, pooling):
    cmd = samu_cmd(tmp_path, "--dry_run", "true", pooling=pooling, losses={"mse": {}})
    SAMUTask.main(cmd=cmd)
    model, _ = SAMUTask.build_model_from_file(tmp_path / "config.yaml")
    output = model.eval().embed(*batch)
    frames = [f[:n] for f, n in zip(output.frames, output.lengths)]
    pooled = {
        "mean": torch.stack([f.mean(0) for f in frames]),
        "max": torch.stack([f.amax(0) for f in frames]),
    }[pooling]
    torch.testing.assert_close(model.projector(pooled), output.embedding)


DEFAULT = {
    "frontend": "default",
    "frontend_conf": {"fs": "16k", "n_fft": 128, "hop_length": 64, "n_mels": 20},
    "specaug": "specaug",
    "specaug_conf": {"apply_time_mask": False, "freq_mask_width_range": [0, 4]},
    "normalize": "utterance_mvn",
    "encoder": "transformer",
    "encoder_conf": {
        "input_layer": "linear",
        "output_size": 8,
        "attention_heads": 2,
        "linear_units": 8,
        "num_blocks": 1,
    },
}


@pytest.mark.timeout(30)
def test_espnet_frontend_and_encoder(samu_cmd, tmp_path, batch):
    SAMUTask.main(cmd=samu_cmd(tmp_path, **DEFAULT))
    model, args = SAMUTask.build_model_from_file(None, tmp_path / "1epoch.pth")
    assert args.frontend == "default" and args.encoder == "transformer"
    output = model.eval().embed(*batch)
    # no masks outside training
    frames = model.encoder(*model.normalize(*model.frontend(*batch)))[0]
    torch.testing.assert_close(output.frames, frames)
    assert output.frames.size(2) == 8 and output.embedding.shape == (4, 4)


S3PRL = {
    "frontend": "s3prl",
    "frontend_conf": {
        "frontend_conf": {"upstream": "mfcc"},
        "multilayer_feature": True,
    },
    "encoder": "transformer",
    "encoder_conf": {"output_size": 8, "attention_heads": 2, "num_blocks": 1},
}


@pytest.mark.timeout(30)
def test_s3prl(samu_cmd, tmp_path):
    SAMUTask.main(cmd=samu_cmd(tmp_path, **S3PRL))
    model, _ = SAMUTask.build_model_from_file(None, tmp_path / "1epoch.pth")
    assert model.encoder.output_size() == 8


def test_projector_first(samu_cmd, tmp_path, samu_exp):
    conf = {"model_conf": {"freeze_encoder_updates": 1}}
    SAMUTask.main(cmd=samu_cmd(tmp_path, **conf))
    trained = torch.load(tmp_path / "1epoch.pth")
    model, args = read_args(tmp_path)
    assert args.unused_parameters is True
    assert trained.pop("updates") == 1
    moved = {
        name.split(".")[0]
        for name, value in model.state_dict().items()
        if name != "updates" and not torch.equal(trained[name], value)
    }
    assert moved == {"pooling", "projector"}


def test_projector_first_in_each_training(samu_cmd, tmp_path):
    """Weights bring no count to a new training; a resumed one goes on counting."""
    conf = {"model_conf": {"freeze_encoder_updates": 1}}
    first, second = tmp_path / "first", tmp_path / "second"
    SAMUTask.main(cmd=samu_cmd(first, **conf))
    before = torch.load(first / "1epoch.pth")
    start = ("--init_param", str(first / "1epoch.pth"))
    SAMUTask.main(cmd=samu_cmd(second, *start, **conf))
    after = torch.load(second / "1epoch.pth")
    assert after["updates"] == 1

    def moved():
        names = [k for k, v in after.items() if not torch.equal(v, before[k])]
        return {name.split(".")[0] for name in names}

    assert moved() == {"pooling", "projector"}
    SAMUTask.main(cmd=samu_cmd(second, *start, "--resume", "true", **conf, max_epoch=2))
    before, after = after, torch.load(second / "2epoch.pth")
    assert after["updates"] == 2
    assert moved() == {"pooling", "projector", "frontend", "updates"}
    # and a training without frozen updates starts from these weights
    SAMUTask.main(cmd=samu_cmd(tmp_path / "plain", *start))
    assert "updates" not in torch.load(tmp_path / "plain" / "1epoch.pth")


def test_refused(samu_cmd, tmp_path, capsys):
    for option, choices in (
        ("pooling", "'attention', 'max', 'mean'"),
        ("frontend", "'samu', 'default', 's3prl'"),
    ):
        with pytest.raises(SystemExit):
            SAMUTask.main(cmd=samu_cmd(tmp_path, f"--{option}", "euclid"))
        assert f"'euclid' (choose from {choices})" in capsys.readouterr().err
    with pytest.raises(ValueError, match="euclid"):
        SAMUTask.main(
            cmd=samu_cmd(tmp_path, "--dry_run", "true", losses={"euclid": {}})
        )
    with pytest.raises(ValueError, match="teacher's embeddings have 4 .* projector 5"):
        SAMUTask.main(cmd=samu_cmd(tmp_path, projector_conf={"output_size": 5}))


def test_config_is_plain(samu_exp):
    conf = yaml.safe_load((samu_exp / "config.yaml").read_text())
    assert conf["frontend"] == "samu" and conf["encoder"] == "passthrough"
    assert conf["frontend_conf"]["model_conf"]["model_type"] == "wav2vec2"
    assert conf["espnet_samu_version"] == espnet_samu.__version__
