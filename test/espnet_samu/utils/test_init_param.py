"""Tests of espnet_samu.utils.init_param."""

import pytest
import torch
import yaml
from espnet2.torch_utils import load_pretrained_model as host

from espnet_samu.utils.base_weights import checksum, save_base
from espnet_samu.utils.init_param import (
    add_base_weights,
    check_init_param,
    check_not_own_folder,
    load_pretrained_model,
)


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
    host.load_pretrained_model(spec, model, ignore_init_mismatch=False)
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


def test_what_a_training_adds_may_be_new(model, save):
    state = {k: v.clone() for k, v in model.state_dict().items()}
    model["distillation"] = torch.nn.Linear(2, 3)
    model.register_buffer("updates", torch.tensor(0))
    check_init_param([save(state)], model)
    check_init_param([save(model.state_dict())], model)
    # all of it or nothing
    half = {**state, "distillation.weight": torch.zeros(3, 2)}
    with pytest.raises(ValueError, match="1 of 8 .* e.g. distillation.bias;"):
        check_init_param([save(half)], model)
    # a head that is asked for has to be there
    with pytest.raises(ValueError, match="2 of 2 .* e.g. distillation.weight, "):
        check_init_param([f"{save(state)}:distillation:distillation"], model)


def test_what_has_no_place(model, save):
    """Adapters, layers and rows of a file are not dropped silently."""
    state = model.state_dict()
    lora = {**state, "frontend.0.q.lora_A.default.weight": torch.zeros(1)}
    message = "has adapters .1 tensors, e.g. frontend.0.q.lora_A.* set adapters as in"
    for spec in (save(lora), f"{save(lora)}:frontend:frontend"):
        with pytest.raises(ValueError, match=message):
            check_init_param([spec], model)
    deeper = {**state, "frontend.2.weight": torch.zeros(2, 2)}
    with pytest.raises(ValueError, match="1 parameters .* no place.* frontend.2.weigh"):
        check_init_param([save(deeper)], model)
    check_init_param([f"{save(deeper)}:::frontend.2"], model)
    wider = {**state, "head.weight": torch.zeros(3, 2)}
    message = (
        r"have another shape, e.g. head.weight \[3, 2\] for \[1, 2\]; .* token list"
    )
    with pytest.raises(ValueError, match=message):
        check_init_param([save(wider)], model)
    # a part that the model has not
    check_init_param([save({**state, "ctc.weight": torch.zeros(1)})], model)


def test_the_folder_of_the_training(tmp_path):
    specs = [f"{tmp_path}/exp/a.pth:frontend:frontend"]
    check_not_own_folder(specs, tmp_path / "other")
    with pytest.raises(ValueError, match="a.pth is in --output_dir .*; name another"):
        check_not_own_folder(specs, f"{tmp_path}/other/../exp")


def test_two_files_for_one_destination(model, student, tmp_path):
    names = list(student)
    specs = []
    for file, part in (("a.pth", names[:3]), ("b.pth", names[3:])):
        torch.save({name: student[name] for name in part}, tmp_path / file)
        specs.append(f"{tmp_path}/{file}:frontend:frontend")
    check_init_param(specs, model)
    with pytest.raises(ValueError, match="1 of 4 .*, e.g. frontend.1.bias;"):
        check_init_param(specs[:1], model)
    # the other one is for all of the model
    with pytest.raises(ValueError, match="1 of 4 .*, e.g. frontend.1.bias;"):
        check_init_param([specs[0], f"{tmp_path}/b.pth"], model)


def test_frozen_weights_beside(model, student, save, tmp_path):
    frozen = {k: student.pop(k) for k in list(student) if k.startswith("frontend.0.")}
    file = save(student)
    spec = f"{file}:frontend:frontend"
    assert add_base_weights([spec, "no/folder.pth"]) == [spec, "no/folder.pth"]
    config = {"base_weights": {"file": "base.pth", "sha256": checksum(frozen)}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(FileNotFoundError, match="base.pth is missing"):
        add_base_weights([spec])
    save_base(frozen, tmp_path / "base.pth")
    base = f"{tmp_path}/base.pth"
    specs = add_base_weights([spec])
    assert specs == [f"{base}:frontend:frontend", spec]
    # from an earlier config.yaml they come a second time
    assert add_base_weights(specs) == specs
    assert add_base_weights([file]) == [base, file]
    check_init_param(specs, model)
    for each in specs:
        host.load_pretrained_model(each, model, ignore_init_mismatch=False)
    for key, value in {**frozen, **student}.items():
        assert torch.equal(model.state_dict()[key], value)
    # ESPnet's own tasks name the checkpoint alone
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    load_pretrained_model(spec, model, ignore_init_mismatch=False)
    for key, value in {**frozen, **student}.items():
        assert torch.equal(model.state_dict()[key], value)
    save_base({k: v + 1 for k, v in frozen.items()}, tmp_path / "base.pth")
    with pytest.raises(ValueError, match="base.pth is not the file that"):
        add_base_weights([spec])
    with pytest.raises(ValueError, match="base.pth is not the file that"):
        load_pretrained_model(spec, model, ignore_init_mismatch=False)
    # of another program
    (tmp_path / "config.yaml").write_text("model: !ref <model>\n")
    assert add_base_weights([spec]) == [spec]


def test_no_file(model, tmp_path):
    with pytest.raises(FileNotFoundError, match="no.pth"):
        check_init_param([f"{tmp_path}/no.pth:frontend:frontend"], model)
