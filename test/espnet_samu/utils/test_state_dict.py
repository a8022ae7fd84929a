"""Tests of espnet_samu.utils.state_dict."""

import pickle

import pytest
import torch

from espnet_samu.utils.state_dict import (
    StateDictError,
    check_tensors,
    load_strictly,
    read_state_dict,
)


def test_load_strictly():
    model, other = torch.nn.Linear(2, 3), torch.nn.Linear(2, 3)
    load_strictly("f.pth", model, other.state_dict())
    assert torch.equal(model.weight, other.weight)
    state = {"bias": torch.zeros(3)}
    load_strictly("f.pth", model, state, is_partial=True)
    assert model.bias.tolist() == [0, 0, 0] and torch.equal(model.weight, other.weight)


@pytest.mark.parametrize("load", [load_strictly, None])
def test_one_message_for_all(load):
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 3, False))
    state = {"0.weight": torch.zeros(2, 2), "0.bias": torch.zeros(3)}
    state.update({f"x{i}": torch.zeros(1) for i in range(7)})
    with pytest.raises(ValueError) as error:
        if load is None:
            check_tensors("f.pth is of another model", state, model.state_dict())
        else:
            load("f.pth is of another model", model, state)
    assert str(error.value) == (
        "f.pth is of another model: tensors 1 missing ['1.weight'], 7 unexpected "
        "['x0', 'x1', 'x2', 'x3', 'x4'], 1 of another shape "
        "['0.weight [2, 2] for [3, 2]']"
    )
    assert error.value.other_shapes == ("0.weight [2, 2] for [3, 2]",)
    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)


def test_partial_still_names_the_others():
    with pytest.raises(StateDictError, match=r"^f: tensors 1 unexpected \['x'\]$"):
        state = {"x": torch.zeros(1)}
        load_strictly("f", torch.nn.Linear(1, 1), state, is_partial=True)


@pytest.mark.parametrize("is_new", [True, False])
def test_shapes_only(tmp_path, is_new):
    """Without a value where the format allows it."""
    state = {"a": torch.ones(2, 3), "b": torch.zeros(1, dtype=torch.float16)}
    file = tmp_path / "model.pth"
    torch.save(state, file, _use_new_zipfile_serialization=is_new)
    found = read_state_dict(file, shapes_only=True)
    assert {k: (v.shape, v.dtype) for k, v in found.items()} == {
        k: (v.shape, v.dtype) for k, v in state.items()
    }
    place = "meta" if is_new else "cpu"
    assert {v.device.type for v in found.values()} == {place}
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(ValueError, match="model.pth is damaged, or is not a model"):
        read_state_dict(file, shapes_only=True)


NO_CHECKPOINTS = {
    "text": b"not a checkpoint\n",
    "empty": b"",
    "a list": [torch.zeros(2)],
    "a number": 3,
    "no tensors": {},
    "what a training resumes from": {"model": {"a": torch.zeros(2)}, "epoch": 3},
}


@pytest.mark.parametrize("name", NO_CHECKPOINTS)
def test_no_state_dict(tmp_path, name):
    path, content = tmp_path / "a.pth", NO_CHECKPOINTS[name]
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(ValueError, match=f"{path} is .*not a model checkpoint") as end:
        read_state_dict(path)
    assert str(end.value).count("\n") == 0


def test_cut_state_dict(tmp_path):
    path = tmp_path / "a.pth"
    torch.save({"a": torch.zeros(100, 100)}, path)
    whole = path.read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 100):
        path.write_bytes(whole[:size])
        message = rf"{path} is damaged, or is not a model checkpoint \(.+\)$"
        for shapes_only in (False, True):
            with pytest.raises(ValueError, match=message):
                read_state_dict(path, shapes_only)
    with pytest.raises(FileNotFoundError, match="no.pth"):
        read_state_dict(tmp_path / "no.pth")


def test_state_dict(tmp_path):
    for content in ({"a": torch.ones(2)}, {"module": {"a": torch.ones(2)}}):
        torch.save(content, tmp_path / "a.pth")
        assert read_state_dict(tmp_path / "a.pth")["a"].tolist() == [1, 1]
