"""Tests of espnet_samu.utils.torch_modules."""

import ctypes
import subprocess
import sys
import types

import pytest
import torch

from espnet_samu.utils.torch_modules import (
    eval_frozen,
    keep_freed_memory,
    valid_mask,
    without_autocast,
)


def test_keep_freed_memory():
    code = """
import resource
import torch
from espnet_samu.utils.torch_modules import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        torch.ones(4 * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults())
keep_freed_memory()
faults()  # the heap grows
print(faults())
"""
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    returned, kept = map(int, run.stdout.split())
    assert returned > 20 * kept


@pytest.mark.parametrize("most, tried", [(2**30, 1), (2**25, 2), (0, 2)])
def test_limits_of_older_libraries(monkeypatch, most, tried):
    """Where blocks are returned in any case, the heap's end is left alone."""
    calls = []

    def mallopt(option, size):
        calls.append((option, size))
        return int(option == -1 or size <= most)

    library = types.SimpleNamespace(mallopt=mallopt)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    keep_freed_memory()
    expected = [(-3, 2**30), (-3, 2**25)][:tried]
    assert calls == expected + [(-1, 2**31 - 1)] * bool(most)


def test_without_autocast():
    model = torch.nn.Module()
    model.frontend, model.decoder = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    model.encoder = torch.nn.Linear(2, 2)
    model.frontend.dtype = torch.bfloat16
    assert without_autocast(model) is model
    assert model.frontend.dtype == torch.float32
    assert not hasattr(model.decoder, "dtype") and not hasattr(model.encoder, "dtype")


def test_by_hand():
    mask = valid_mask(torch.tensor([2, 0, 4]), 3)
    assert mask.tolist() == [[1, 1, 0], [0, 0, 0], [1, 1, 1]]
    assert mask.dtype == torch.int64


def test_only_frozen_parts():
    def block():
        return torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout())

    model = torch.nn.ModuleDict({"frozen": block(), "mixed": block(), "free": block()})
    model["drop"] = torch.nn.Dropout()
    model["frozen"].requires_grad_(False)
    model["mixed"].append(torch.nn.Linear(2, 2).requires_grad_(False))
    model.train()
    eval_frozen(model)
    training = {name for name, module in model.named_modules() if module.training}
    # dropout inside a frozen part is off; without parameters elsewhere it is not
    whole = {"", "mixed", "mixed.0", "mixed.1", "free", "free.0", "free.1", "drop"}
    assert training == whole
    x = torch.ones(1, 2)
    assert torch.equal(model["frozen"](x), model["frozen"][0](x))

    model.requires_grad_(False)
    model.train()
    eval_frozen(model)
    assert not any(module.training for module in model.modules())
