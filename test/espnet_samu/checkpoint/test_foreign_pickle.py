"""Tests of espnet_samu.checkpoint.foreign_pickle."""

import argparse
import enum
import os
import zipfile

import numpy as np
import pytest
import torch

from espnet_samu.checkpoint.foreign_pickle import (
    Placeholder,
    load_with_placeholders,
    to_container,
)


class Mode(enum.Enum):
    LAYER_NORM = "layer_norm"


class Runs:
    """Unpickled in the usual way, it would write a file."""

    def __init__(self, function, path):
        self.call = function, (path,)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("zipped", [True, False])
def test_settings_without_their_classes(tmp_path, zipped):
    omegaconf = pytest.importorskip("omegaconf")
    settings = {
        "model": {"layers": 2, "dropout": 0.5},
        "names": ["a", None],
        "on": True,
    }
    checkpoint = {
        "model": {"weight": torch.arange(6.0).reshape(2, 3)},
        "cfg": omegaconf.OmegaConf.create(settings),
        "args": argparse.Namespace(layers=3, inner=argparse.Namespace(mode="x")),
        "mode": Mode.LAYER_NORM,
        "loss": np.float64(1.5),
        "optimizer": {"state": {0: {"step": 1}}},
    }
    path = tmp_path / "model.pt"
    torch.save(checkpoint, path, _use_new_zipfile_serialization=zipped)

    read = load_with_placeholders(path)
    assert torch.equal(read["model"]["weight"], checkpoint["model"]["weight"])
    assert isinstance(read["cfg"], Placeholder) and isinstance(
        read["args"], Placeholder
    )
    assert to_container(read["cfg"]) == settings
    assert to_container(read["args"]) == {"layers": 3, "inner": {"mode": "x"}}
    assert to_container(read["mode"]) == "layer_norm"
    assert read["optimizer"] == {"state": {0: {"step": 1}}}


def test_nothing_is_run(tmp_path):
    victim = tmp_path / "made_by_the_checkpoint"
    os_path, exec_path = tmp_path / "os.pt", tmp_path / "exec.pt"
    torch.save({"model": {}, "x": Runs(os.mkdir, str(victim))}, os_path)
    torch.save(
        {"model": {}, "x": Runs(exec, f"import os; os.mkdir('{victim}')")}, exec_path
    )

    with pytest.raises(ValueError, match="without running code .*posix.*strip it"):
        load_with_placeholders(os_path)
    assert isinstance(load_with_placeholders(exec_path)["x"], Placeholder)
    assert not victim.exists()


def test_refused(tmp_path):
    (tmp_path / "text.pt").write_text("no checkpoint\n")
    (tmp_path / "empty.pt").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "zip.pt", "w") as archive:
        archive.writestr("a", "no checkpoint")
    torch.save({"model": {}}, tmp_path / "whole.pt")
    (tmp_path / "part.pt").write_bytes((tmp_path / "whole.pt").read_bytes()[:200])
    for name in ("text", "empty", "zip", "part"):
        with pytest.raises(ValueError) as error:
            load_with_placeholders(tmp_path / f"{name}.pt")
        assert f"{name}.pt is damaged, or no file of torch.save" in str(error.value)
        assert "weights_only" not in str(error.value)
    torch.save([1], tmp_path / "list.pt")
    with pytest.raises(ValueError, match="list.pt is not a dictionary but list"):
        load_with_placeholders(tmp_path / "list.pt")
