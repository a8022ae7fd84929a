import torch

from espnet_samu.loss.cosine import CosineLoss
from espnet_samu.loss.mse import MSELoss

STUDENT = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
TEACHER = torch.tensor([[0.6, 0.8], [0.6, 0.8]])


def test_by_hand():
    # squares 0.16, 0.64, 0, 0: mean 0.2
    torch.testing.assert_close(MSELoss()(STUDENT, TEACHER).item(), 0.2)
    cosine = CosineLoss(loss_scale=2.0 / 2)  # 2 / E
    torch.testing.assert_close(MSELoss()(STUDENT, TEACHER), cosine(STUDENT, TEACHER))
