import pytest
import torch

from espnet_samu.loss.contrastive import ContrastiveLoss
from espnet_samu.loss.cosine import CosineLoss
from espnet_samu.loss.distillation import DistillationLoss

LOSSES = {"cosine": CosineLoss(), "contrastive": ContrastiveLoss(temperature=0.5)}
WEIGHTS = {"cosine": 2.0, "contrastive": 0.25}


def test_by_hand():
    student = torch.tensor([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0]], dtype=torch.float64)
    teacher = torch.tensor([[0.6, 0.8, 0.0], [0.0, 1.0, 0.0]])
    # cosines [[0.6, 0], [1, 0.8]]: distances 0.4 and 0.2, their mean 0.3
    # over t = 0.5: [[1.2, 0], [2, 1.6]]: losses 0.263282 and 0.913015 by rows,
    # 1.171101 and 0.183901 by columns, mean 0.632825
    total, stats = DistillationLoss(LOSSES, WEIGHTS)(student, teacher)
    assert total.item() == pytest.approx(2 * 0.3 + 0.25 * 0.632825, abs=1e-5)
    assert total.dtype == torch.float32
    expected = {
        "loss": total.item(),
        "loss_cosine": 0.3,
        "loss_contrastive": 0.632825,
        "cos_right": 0.7,
        "cos_wrong": 0.5,
        "batch_r1": 0.5,
    }
    assert {k: v.item() for k, v in stats.items()} == pytest.approx(expected, abs=1e-5)


def test_length_of_the_teacher_does_not_matter():
    torch.manual_seed(0)
    student, teacher = torch.nn.functional.normalize(torch.randn(2, 6, 16), dim=-1)
    loss = DistillationLoss(LOSSES, WEIGHTS)
    expected, expected_stats = loss(student, teacher)
    total, stats = loss(student, 1.74 * teacher)
    assert total.item() == pytest.approx(expected.item(), rel=1e-5)
    for name, value in expected_stats.items():
        assert stats[name].item() == pytest.approx(value.item(), rel=1e-4), name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_under_autocast(dtype):
    torch.manual_seed(0)
    student, teacher = torch.nn.functional.normalize(torch.randn(2, 6, 16), dim=-1)
    # each sentence twice: in half precision its cosine to itself is often below SAME
    teacher = teacher[:3].repeat(2, 1)
    loss = DistillationLoss(LOSSES, WEIGHTS)
    expected, expected_stats = loss(student, teacher)
    with torch.autocast("cpu", dtype=dtype):
        total, stats = loss(student, teacher)
    assert torch.equal(total, expected) and total.dtype == torch.float32
    assert stats == expected_stats


def test_refused():
    with pytest.raises(ValueError, match="must name the same distances, at least one"):
        DistillationLoss({}, {})
    loss = DistillationLoss(LOSSES, WEIGHTS)
    with pytest.raises(ValueError, match="embeddings have 4 dimensions, .* 3: set out"):
        loss(torch.ones(2, 3), torch.ones(2, 4))
