import pytest
import torch

from espnet_samu.loss.cosine import CosineLoss

STUDENT = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
TEACHER = torch.tensor([[0.6, 0.8], [0.6, 0.8], [0.0, -1.0]])


def test_by_hand():
    # cosines 0.6, 1, -1: distances 0.4, 0, 2
    torch.testing.assert_close(CosineLoss()(STUDENT, TEACHER).item(), 0.8)
    torch.testing.assert_close(
        CosineLoss(loss_scale=100.0)(STUDENT, TEACHER).item(), 80.0
    )
    # a mean over the batch: twice the batch, the same loss
    twice = CosineLoss()(STUDENT.repeat(2, 1), TEACHER.repeat(2, 1))
    assert twice.item() == pytest.approx(0.8)
