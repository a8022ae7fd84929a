from argparse import Namespace

import pytest
import torch
import yaml

from espnet_samu.tasks.student_start import check_student_encoder, student_specs
from espnet_samu.utils.base_weights import checksum, save_base


@pytest.fixture
def save(tmp_path):
    """Saves a student with an encoder of so many layers."""

    def make(n, wrap=lambda state: state):
        layers = [torch.nn.Linear(2, 2) for _ in range(n)]
        parts = {
            "frontend": torch.nn.Linear(2, 2),
            "encoder": torch.nn.Sequential(*layers),
            "encoder_like": torch.nn.Linear(2, 2),
        }
        state = torch.nn.ModuleDict(parts).state_dict()
        torch.save(wrap(state), tmp_path / f"{n}.pth")
        return str(tmp_path / f"{n}.pth")

    return make


def test_specs(save):
    file = save(0)
    assert student_specs(Namespace(samu_model=file)) == [f"{file}:frontend:frontend"]
    # DeepSpeed's checkpoints have the state one level below
    for wrap in (lambda state: state, lambda state: {"module": state}):
        file = save(1, wrap)
        specs = [f"{file}:frontend:frontend", f"{file}:encoder:encoder"]
        assert student_specs(Namespace(samu_model=file)) == specs
    for none in (None, "none.pth"):
        with pytest.raises(FileNotFoundError, match=f"there is no student at '{none}'"):
            student_specs(Namespace(samu_model=none))


def test_nothing_is_lost(save):
    encoder = torch.nn.Sequential(torch.nn.Linear(2, 2))
    model = torch.nn.ModuleDict({"encoder": encoder})
    check_student_encoder(save(0), model)
    check_student_encoder(save(1), model)
    with pytest.raises(ValueError, match="2 parameters .* place in encoder: Sequent"):
        check_student_encoder(save(2), model)


def test_encoder_that_was_frozen(save, tmp_path):
    """With save_trained_only its parameters are in a file beside the student."""
    file = save(1)
    state = torch.load(file)
    frozen = {k: state.pop(k) for k in list(state) if k.startswith("encoder.")}
    torch.save(state, file)
    save_base(frozen, tmp_path / "base.pth")
    config = {"base_weights": {"file": "base.pth", "sha256": checksum(frozen)}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    specs = [f"{file}:frontend:frontend", f"{file}:encoder:encoder"]
    assert student_specs(Namespace(samu_model=file)) == specs
    model = torch.nn.ModuleDict({"encoder": torch.nn.Identity()})
    with pytest.raises(ValueError, match="2 parameters of the student's encoder"):
        check_student_encoder(file, model)
