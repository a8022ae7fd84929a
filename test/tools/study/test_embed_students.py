"""Tests of study.embed_students."""

import torch
import yaml

from espnet_samu.frontend.samu import SamuFrontend
from espnet_samu.tasks.samu import SAMUTask
from study.embed_students import write_untrained


def read_start(exp, conf, folder):
    (folder / "train.yaml").write_text(yaml.safe_dump(conf), encoding="utf-8")
    write_untrained(exp, folder / "train.yaml", folder / "untrained.pth")
    return torch.load(folder / "untrained.pth")


def test_weights_are_those_before_the_first_update(samu_cmd, frontend_conf, tmp_path):
    # A training with no learning rate ends with the weights that it began with.
    exp = tmp_path / "exp"
    SAMUTask.main(cmd=samu_cmd(exp, optim_conf={"lr": 0.0}))
    torch.manual_seed(99)
    state = read_start(exp, {"frontend_conf": frontend_conf}, tmp_path)
    trained = torch.load(exp / "1epoch.pth")
    assert state.keys() == trained.keys()
    for name, value in state.items():
        torch.testing.assert_close(value, trained[name], rtol=0, atol=0)


def test_pretrained_weights_are_read_again(samu_cmd, frontend_conf, tmp_path):
    source, exp = tmp_path / "source", tmp_path / "exp"
    torch.manual_seed(7)
    plain = SamuFrontend(**frontend_conf).model
    plain.save_pretrained(source)
    conf = {"model": str(source)}
    SAMUTask.main(cmd=samu_cmd(exp, frontend_conf=conf))
    state = read_start(exp, {"frontend_conf": conf}, tmp_path)
    for name, value in plain.state_dict().items():
        assert torch.equal(state[f"frontend.model.{name}"], value), name
