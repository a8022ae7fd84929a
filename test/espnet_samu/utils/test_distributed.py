"""Tests of espnet_samu.utils.distributed."""

import json
import subprocess
import sys

import pytest
import torch

from espnet_samu.utils import distributed as module
from espnet_samu.utils.distributed import (
    gather_objects,
    gather_rows,
    is_distributed,
    is_first,
    process_share,
)

WORK = """
import json, sys
import torch
from espnet_samu.utils.distributed import gather_objects, gather_rows, is_first

rank = int(sys.argv[1])
torch.distributed.init_process_group(
    "gloo", init_method=f"file://{sys.argv[2]}", world_size=2, rank=rank
)
rows, offset = gather_rows(torch.full((rank + 1, 2), float(rank)))
print(json.dumps([rows.tolist(), offset, gather_objects({"rank": rank}), is_first()]))
torch.distributed.destroy_process_group()
"""


@pytest.mark.timeout(60)  # two new processes import torch
def test_rows_of_two_processes(tmp_path):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORK, str(rank), str(tmp_path / "init")],
            stdout=subprocess.PIPE,
        )
        for rank in range(2)
    ]
    found = [json.loads(p.communicate(timeout=50)[0]) for p in processes]
    rows = [[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]
    objects = [{"rank": 0}, {"rank": 1}]
    assert found == [[rows, 0, objects, True], [rows, 1, objects, False]]


def test_alone():
    rows = torch.ones(2, 3)
    assert gather_rows(rows) == (rows, 0)
    assert gather_objects("a") == ["a"]
    assert is_first() and not is_distributed()


def test_one_process():
    assert process_share(3, 2, torch.device("cpu")) == 1


def test_mean_over_processes(monkeypatch):
    """3 + 1 items with the means 2 and 10, on processes of 2 and 6 utterances."""

    def all_reduce(counts):
        counts.copy_(torch.tensor([4.0, 8.0]))

    monkeypatch.setattr(module, "is_distributed", lambda: True)
    monkeypatch.setattr(torch.distributed, "all_reduce", all_reduce)
    device = torch.device("cpu")
    given = [2.0 * process_share(3, 2, device), 10.0 * process_share(1, 6, device)]
    # as ESPnet does
    mean = (2 * given[0] + 6 * given[1]) / 8
    assert mean.item() == pytest.approx((3 * 2.0 + 1 * 10.0) / 4)
