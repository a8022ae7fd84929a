import json

import pytest
import torch
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
    message = r"1 parameters missing \['projector.linear.bias'\], 0 too many"
    with pytest.raises(ValueError, match=message):
        SAMUTask.build_model_from_file(config, tmp_path / "model.pth")
    state.update({"projector.linear.bias": bias, "decoder.weight": bias})
    torch.save(state, tmp_path / "model.pth")
    with pytest.raises(ValueError, match=r"0 .* missing .*, 1 too many \['decoder"):
        SAMUTask.build_model_from_file(config, tmp_path / "model.pth")
    # deepspeed's checkpoints have one key
    del state["decoder.weight"]
    torch.save({"module": state}, tmp_path / "model.pth")
    model, _ = SAMUTask.build_model_from_file(config, tmp_path / "model.pth")
    assert torch.equal(model.projector.linear.bias, bias)
