import json

import torch

from espnet_samu.layers.budget import budget, save, table


def make():
    model = torch.nn.ModuleDict(
        {"body": torch.nn.Linear(3, 4), "head": torch.nn.Linear(4, 3, bias=False)}
    )
    model["tied"] = torch.nn.Linear(3, 4, bias=False)
    model["tied"].weight = model["body"].weight
    model["body"].bias.requires_grad_(False)
    return model


def test_by_hand():
    counts = budget(make())
    # body: 12 weights, 4 frozen biases; head: 12; tied: body's weights, not counted
    assert counts == {"body": (16, 12), "head": (12, 12), "all": (28, 24)}
    assert list(counts)[-1] == "all"
    assert counts["all"].trainable == 24
    frozen = make().requires_grad_(False)
    assert budget(frozen)["all"] == (28, 0)
    assert budget(torch.nn.Identity()) == {"all": (0, 0)}


def test_table_and_file(tmp_path):
    counts = budget(make())
    assert table(counts).splitlines() == [
        "module                   total     trainable      %",
        "body                        16            12   75.0",
        "head                        12            12  100.0",
        "all                         28            24   85.7",
    ]
    assert table({"all": (0, 0)}).splitlines()[1].split() == ["all", "0", "0", "0.0"]
    save(counts, tmp_path / "budget.json")
    assert json.loads((tmp_path / "budget.json").read_text()) == {
        "body": {"total": 16, "trainable": 12},
        "head": {"total": 12, "trainable": 12},
        "all": {"total": 28, "trainable": 24},
    }
