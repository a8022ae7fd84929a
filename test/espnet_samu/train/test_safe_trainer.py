import os
import re
import signal
import subprocess
import sys

import pytest
import torch
from espnet2.train.trainer import Trainer

from espnet_samu.tasks.samu import SAMUTask
from espnet_samu.train.safe_trainer import CHECKPOINT, EARLIER, SafeTrainer

EPOCHS = {"max_epoch": 3, "num_iters_per_epoch": 3, "batch_size": 2, "optim": "adam"}
# Long enough to be caught in its second epoch.
LONG = {**EPOCHS, "num_iters_per_epoch": 60}


@pytest.fixture(scope="module")
def uninterrupted(samu_cmd, tmp_path_factory):
    """Folder of three epochs in one go."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    SAMUTask.main(cmd=samu_cmd(folder, **EPOCHS))
    return folder


@pytest.fixture(scope="module")
def uninterrupted_long(samu_cmd, tmp_path_factory):
    """Folder of three long epochs in one go."""
    folder = tmp_path_factory.mktemp("uninterrupted_long")
    SAMUTask.main(cmd=samu_cmd(folder, **LONG))
    return folder


@pytest.fixture(scope="module")
def killed(samu_cmd, tmp_path_factory):
    """Folder of a training of three long epochs, killed in the second one."""
    folder = tmp_path_factory.mktemp("killed")
    cmd = samu_cmd(folder, "--resume", "true", **LONG)
    process = subprocess.Popen(
        [sys.executable, "-m", "espnet_samu.bin.samu_train", *cmd],
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if re.search(r"2/3epoch started", line):
            os.kill(process.pid, signal.SIGKILL)
            break
    assert process.wait(timeout=60) == -signal.SIGKILL
    return folder


def read(path):
    return torch.load(path, weights_only=True)


def assert_same_training(one, other):
    for name, value in read(one / "3epoch.pth").items():
        torch.testing.assert_close(read(other / "3epoch.pth")[name], value)
    first, second = (read(x / CHECKPOINT)["reporter"]["stats"] for x in (one, other))
    assert sorted(first) == sorted(second) == [1, 2, 3]
    for epoch in first:
        for key in ("train", "valid"):
            assert first[epoch][key]["loss"] == second[epoch][key]["loss"]


def test_killed_and_resumed(uninterrupted_long, killed, samu_cmd):
    assert (killed / "1epoch.pth").exists() and not (killed / "2epoch.pth").exists()
    SAMUTask.main(cmd=samu_cmd(killed, "--resume", "true", **LONG))
    assert_same_training(uninterrupted_long, killed)
    assert not (killed / EARLIER).exists()


@pytest.mark.parametrize("half_of", [1, 2])
def test_killed_while_saving(samu_cmd, tmp_path, monkeypatch, uninterrupted, half_of):
    """The checkpoint of an epoch is half there, the epoch's model not at all."""
    save = torch.save
    saved = []

    def save_half(state, path):
        if str(path).endswith(CHECKPOINT):
            saved.append(path)
            if len(saved) == half_of:
                path.write_bytes(b"half a file")
                raise KeyboardInterrupt
        save(state, path)

    monkeypatch.setattr(torch, "save", save_half)
    with pytest.raises(KeyboardInterrupt):
        SAMUTask.main(cmd=samu_cmd(tmp_path, "--resume", "true", **EPOCHS))
    monkeypatch.undo()
    assert (tmp_path / CHECKPOINT).read_bytes() == b"half a file"
    assert not (tmp_path / f"{half_of}epoch.pth").exists()
    SAMUTask.main(cmd=samu_cmd(tmp_path, "--resume", "true", **EPOCHS))
    assert_same_training(uninterrupted, tmp_path)


def test_the_host_has_what_is_extended():
    for name in ("run", "train_one_epoch", "validate_one_epoch"):
        assert name in vars(SafeTrainer) and name in vars(Trainer)
