import pytest
import torch
from espnet2.torch_utils.load_pretrained_model import load_pretrained_model

from espnet_samu.utils.init_param import check_init_param


@pytest.fixture
def model():
    """Frontend of two layers, and a head."""
    torch.manual_seed(0)
    frontend = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    return torch.nn.ModuleDict({"frontend": frontend, "head": torch.nn.Linear(2, 1)})


@pytest.fixture
def save(tmp_path):
    """Saves a state dict; returns the file's name."""

    def make(state):
        torch.save(state, tmp_path / "student.pth")
        return str(tmp_path / "student.pth")

    return make


@pytest.fixture
def student():
    """State dict of a model whose frontend is the same but for its numbers."""
    torch.manual_seed(1)
    layers = [torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)]
    return {
        f"frontend.{i}.{name}": value
        for i, layer in enumerate(layers)
        for name, value in layer.state_dict().items()
    }


def test_complete(model, student, save):
    file = save({**student, "projector.weight": torch.zeros(1)})
    spec = f"{file}:frontend:frontend"
    check_init_param([spec], model)
    # and what it allows is what ESPnet then does
    load_pretrained_model(spec, model, ignore_init_mismatch=False)
    for key, value in student.items():
        assert torch.equal(model.state_dict()[key], value)
    # a checkpoint of deepspeed
    check_init_param([f"{save({'module': student})}:frontend:frontend"], model)
    # from a part's own state dict, and for the whole model
    bare = {key.removeprefix("frontend."): value for key, value in student.items()}
    check_init_param([f"{save(bare)}::frontend"], model)
    check_init_param([save(model.state_dict())], model)
    check_init_param([], model)


def test_missing(model, student, save):
    del student["frontend.1.bias"]
    spec = f"{save(student)}:frontend:frontend"
    message = "1 of 4 parameters of 'frontend' .* e.g. frontend.1.bias;"
    with pytest.raises(ValueError, match=message):
        check_init_param([spec], model)
    with pytest.raises(ValueError, match="3 of 6 parameters of 'the model' are not"):
        check_init_param([save(student)], model)
    # a forgotten prefix fills nothing
    with pytest.raises(ValueError, match="4 of 4 .* e.g. encoder.0.weight, "):
        check_init_param([f"{save(student)}:encoder:frontend"], model)


def test_excluded(model, student, save):
    del student["frontend.1.bias"]
    file = save(student)
    check_init_param([f"{file}:frontend:frontend:frontend.1.bias"], model)
    check_init_param([f"{file}:frontend:frontend:frontend.9,frontend.1"], model)
    with pytest.raises(ValueError, match="e.g. frontend.1.bias"):
        check_init_param([f"{file}:frontend:frontend:frontend.0"], model)


def test_no_file(model, tmp_path):
    with pytest.raises(FileNotFoundError, match="no.pth"):
        check_init_param([f"{tmp_path}/no.pth:frontend:frontend"], model)
