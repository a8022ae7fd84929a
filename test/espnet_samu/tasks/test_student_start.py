from argparse import Namespace

import pytest
import torch

from espnet_samu.tasks.student_start import check_student_encoder, student_specs


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
