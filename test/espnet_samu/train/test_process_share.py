import pytest
import torch

from espnet_samu.train import process_share as module
from espnet_samu.train.process_share import process_share


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
