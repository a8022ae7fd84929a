import json
import shutil

import pytest
import torch
import yaml
from espnet2.torch_utils.set_all_random_seed import set_all_random_seed

from espnet_samu.tasks.samu import SAMUTask


@pytest.fixture
def built(samu_exp, tmp_path):
    """Model and arguments as its training would have them."""
    model, args = SAMUTask.build_model_from_file(samu_exp / "config.yaml")
    args.output_dir = str(tmp_path)
    return model, args


def optimized(optimizers):
    return [p for o in optimizers for group in o.param_groups for p in group["params"]]


def test_frozen_are_not_optimized(built, tmp_path):
    model, args = built
    model.frontend.requires_grad_(False)  # as freeze_param does
    args.optim, args.optim_conf = "adamw", {"lr": 0.1, "weight_decay": 0.5}
    parameters = optimized(SAMUTask.build_optimizers(args, model))
    trained = [*model.pooling.parameters(), *model.projector.parameters()]
    assert [id(p) for p in parameters] == [id(p) for p in trained]
    counts = json.loads((tmp_path / "budget.json").read_text())
    assert counts["frontend"]["trainable"] == 0
    assert counts["all"]["trainable"] == 16 + 68


def test_adagrad_saves_its_state(built):
    """It has a state for all parameters before the frozen ones are taken out."""
    model, args = built
    model.frontend.requires_grad_(False)
    args.optim, args.optim_conf = "adagrad", {"lr": 0.1}
    (optimizer,) = SAMUTask.build_optimizers(args, model)
    state = optimizer.state_dict()
    assert len(state["state"]) == len(optimized([optimizer])) == 3
    optimizer.load_state_dict(state)


def test_init_of_an_earlier_espnet(samu_exp, tmp_path):
    config = yaml.safe_load((samu_exp / "config.yaml").read_text())
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({**config, "init": "chainer"}))
    shutil.copy(samu_exp / "1epoch.pth", tmp_path)
    model, args = SAMUTask.build_model_from_file(None, tmp_path / "1epoch.pth")
    for key, value in torch.load(samu_exp / "1epoch.pth").items():
        assert torch.equal(model.state_dict()[key], value)
    args.output_dir = str(tmp_path)
    with pytest.raises(ValueError, match="init: chainer is not one of xavier_uniform"):
        SAMUTask.build_optimizers(args, model)


def test_no_file_to_build_a_model_from():
    with pytest.raises(ValueError, match="name config_file, model_file or both"):
        SAMUTask.build_model_from_file()


def test_several_gpus_need_several_processes(built):
    model, args = built
    args.ngpu, args.distributed = 2, False
    with pytest.raises(ValueError, match="on 2 GPUs needs --multiprocessing_distrib"):
        SAMUTask.build_optimizers(args, model)
    args.distributed = True
    assert optimized(SAMUTask.build_optimizers(args, model))


def test_weight_decay_does_not_move_frozen(samu_cmd, tmp_path):
    cmd = samu_cmd(
        tmp_path,
        "--freeze_param",
        "frontend",
        optim="adamw",
        optim_conf={"lr": 0.1, "weight_decay": 0.5},
    )
    SAMUTask.main(cmd=cmd)
    set_all_random_seed(3)
    before, _ = SAMUTask.build_model_from_file(tmp_path / "config.yaml")
    after = torch.load(tmp_path / "1epoch.pth")
    for name, value in before.state_dict().items():
        assert torch.equal(after[name], value) == name.startswith("frontend.")


DROPPED = {"layerdrop": 0.5, "mask_feature_prob": 0.1, "mask_feature_length": 2}


@pytest.fixture
def one_process(tmp_path):
    """A group of one process, in which DistributedDataParallel works."""
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/init", rank=0, world_size=1
    )
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("conf", [{}, DROPPED])
def test_parameters_without_gradient(built, batch, one_process, conf):
    """Layers that are dropped, and a vector for masked frames where none is masked."""
    _, args = built
    args.frontend_conf["model_conf"].update(conf)
    model = SAMUTask.build_model(args)
    assert args.unused_parameters is False
    (optimizer,) = SAMUTask.build_optimizers(args, model)
    assert args.unused_parameters is bool(conf)
    parallel = torch.nn.parallel.DistributedDataParallel(
        model, find_unused_parameters=args.unused_parameters
    )
    torch.manual_seed(0)
    for _ in range(4):
        optimizer.zero_grad()
        parallel(*batch, torch.eye(4))[0].backward()
        optimizer.step()


def test_nothing_to_train(built, tmp_path):
    model, args = built
    model.requires_grad_(False)
    with pytest.raises(ValueError, match="no parameter is left to train"):
        SAMUTask.build_optimizers(args, model)
    assert not (tmp_path / "budget.json").exists()


def test_init_param_is_checked(built, samu_exp, tmp_path):
    model, args = built
    args.init_param = [f"{samu_exp}/1epoch.pth:encoder:frontend"]
    with pytest.raises(ValueError, match="parameters of 'frontend' are not in the"):
        SAMUTask.build_optimizers(args, model)
    args.ignore_init_mismatch = True
    assert optimized(SAMUTask.build_optimizers(args, model))
    args.ignore_init_mismatch = False
    args.init_param = [f"{samu_exp}/1epoch.pth:frontend:frontend"]
    assert optimized(SAMUTask.build_optimizers(args, model))


def test_checkpoint_must_fit(samu_exp, tmp_path):
    config = samu_exp / "config.yaml"
    state = torch.load(samu_exp / "1epoch.pth")
    bias = state.pop("projector.linear.bias")
    torch.save(state, tmp_path / "model.pth")
    message = r"tensors 1 missing \['projector.linear.bias'\]$"
    with pytest.raises(ValueError, match=message):
        SAMUTask.build_model_from_file(config, tmp_path / "model.pth")
    state.update({"projector.linear.bias": bias, "decoder.weight": bias})
    torch.save(state, tmp_path / "model.pth")
    with pytest.raises(ValueError, match=r"tensors 1 unexpected \['decoder"):
        SAMUTask.build_model_from_file(config, tmp_path / "model.pth")
    # deepspeed's checkpoints have one key
    del state["decoder.weight"]
    torch.save({"module": state}, tmp_path / "model.pth")
    model, _ = SAMUTask.build_model_from_file(config, tmp_path / "model.pth")
    assert torch.equal(model.projector.linear.bias, bias)


def test_float16_needs_amp(built):
    model, args = built
    model.frontend.dtype = torch.float16
    with pytest.raises(ValueError, match="frontend_conf: dtype: float16 loses grad"):
        SAMUTask.build_optimizers(args, model)
    args.use_amp = True
    assert SAMUTask.build_optimizers(args, model)
    # Nothing is lost where nothing is trained.
    args.use_amp = False
    model.frontend.requires_grad_(False)
    assert SAMUTask.build_optimizers(args, model)


@pytest.fixture
def trained(samu_exp, tmp_path):
    """A training of one epoch that has ended."""
    folder = shutil.copytree(samu_exp, tmp_path / "trained")
    (folder / "budget.json").unlink()
    return folder


def resume(samu_cmd, folder, *args, **conf):
    SAMUTask.main(cmd=samu_cmd(folder, "--resume", "true", *args, **conf))


@pytest.mark.parametrize(
    "conf, message",
    [
        (
            {"losses": {"cosine": {"weight": 2.0}}},
            "ended with epoch 1, so .* not be used: losses.cosine.weight 1.0 -> 2.0",
        ),
        (
            {"projector_conf": {"output_size": 5}, "max_epoch": 2},
            "projector_conf.output_size 4 -> 5 .*checkpoint has .* for projector",
        ),
        (
            {"trainable": ["lna_e"], "max_epoch": 2},
            r"trainable None -> \['lna_e'\] .it trained another number",
        ),
        ({"optim": "adam", "max_epoch": 2}, "optim sgd -> adam. Nothing was changed"),
        ({"pooling": "max", "max_epoch": 2}, "pooling attention -> max"),
    ],
)
def test_not_resumed(samu_cmd, trained, conf, message):
    """The finished model stays as it is, and can be decoded."""
    before = {p.name: p.read_bytes() for p in trained.iterdir() if p.is_file()}
    with pytest.raises(ValueError, match=message):
        resume(samu_cmd, trained, **conf)
    del before["train.yaml"]
    after = {p.name: p.read_bytes() for p in trained.iterdir() if p.is_file()}
    assert {name: after.get(name) for name in after if name != "train.yaml"} == before
    SAMUTask.build_model_from_file(model_file=trained / "1epoch.pth")


def test_resumed_without_a_difference(samu_cmd, trained, tmp_path):
    """Comments, order, workers, intervals and criteria; config.yaml stays."""
    config = (trained / "config.yaml").read_text()
    cmd = samu_cmd(trained, "--resume", "true", "--log_interval", "7")
    conf = yaml.safe_load((trained / "train.yaml").read_text())
    conf.update(keep_nbest_models=5, best_model_criterion=[["train", "loss", "min"]])
    text = "# a comment\n" + yaml.safe_dump(
        dict(reversed(conf.items())), sort_keys=False
    )
    (trained / "train.yaml").write_text(text)
    SAMUTask.main(cmd=[*cmd, "--num_workers", "1"])
    assert (trained / "config.yaml").read_text() == config


def test_resumed_with_other_options(samu_cmd, trained, data, caplog):
    conf = {"optim_conf": {"lr": 0.0}, "max_epoch": 2}
    # stopped between the check and the first epoch
    config = (trained / "config.yaml").read_text()
    file = f"{data}/embed.scp,embed,kaldi_ark"
    twice = ("--valid_data_path_and_name_and_type", file)
    with pytest.raises(RuntimeError, match="duplicated"):
        resume(samu_cmd, trained, *twice, **conf)
    assert (trained / "config.yaml").read_text() == config
    resume(samu_cmd, trained, **conf)
    assert "Resumed after epoch 1. " in caplog.text
    assert "from here on: optim_conf.lr 0.1 -> 0.0" in caplog.text
    first, second = (torch.load(trained / f"{n}epoch.pth") for n in (1, 2))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert (
        yaml.safe_load((trained / "config.yaml").read_text())["optim_conf"]["lr"] == 0
    )
    assert not (trained / "config.earlier.yaml").exists()


def test_mistakes_before_anything_is_built(samu_cmd, tmp_path, monkeypatch):
    conf = {"optim_conf": {"lr": "1e-4"}, "losses": {"cosine": {"weight": "2"}}}
    with pytest.raises(ValueError, match="losses.cosine.weight: '2': to YAML"):
        SAMUTask.main(cmd=samu_cmd(tmp_path / "exp", **conf))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ValueError, match="--ngpu 2: torch finds 1 GPUs .* --ngpu 0"):
        SAMUTask.main(cmd=samu_cmd(tmp_path / "exp", ngpu=2))
    assert not (tmp_path / "exp" / "config.yaml").exists()
