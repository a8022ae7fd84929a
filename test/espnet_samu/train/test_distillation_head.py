import pytest
import torch

from espnet_samu.loss.cosine import CosineLoss
from espnet_samu.loss.distillation import DistillationLoss
from espnet_samu.pooling.mean import MeanPooling
from espnet_samu.projector.tanh import TanhProjector
from espnet_samu.train.distillation_head import DistillationHead


def test_by_hand():
    loss = DistillationLoss({"cosine": CosineLoss()}, {"cosine": 2.0})
    head = DistillationHead(MeanPooling(2), TanhProjector(2, 2), loss, 0.5)
    with torch.no_grad():
        head.projector.linear.weight.copy_(torch.eye(2))
        head.projector.linear.bias.zero_()
    # the padding would change the mean
    frames = torch.tensor([[[0.5, 0.5], [0.5, 0.5]], [[1.0, 0.0], [9.0, 9.0]]])
    teacher = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    # directions (1, 1) and (1, 0): cosines 0.7071 and 1
    total, stats = head(frames, torch.tensor([2, 1]), teacher)
    assert total.item() == pytest.approx(2 * (1 - 0.70710678) / 2, abs=1e-6)
    assert stats["cos_right"].item() == pytest.approx((0.70710678 + 1) / 2)
    # the student's names, and nothing of the loss
    assert sorted(head.state_dict()) == ["projector.linear.bias"] + [
        "projector.linear.weight"
    ]
