import math

import pytest
import torch

from espnet_samu.loss.contrastive import ContrastiveLoss


def test_by_hand():
    student = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    teacher = torch.eye(2)
    # cosines [[1, 0], [0.6, 0.8]]; t = 0.5: [[2, 0], [1.2, 1.6]]
    first = -math.log(math.exp(2) / (math.exp(2) + 1))
    second = -math.log(math.exp(1.6) / (math.exp(1.6) + math.exp(1.2)))
    loss = ContrastiveLoss(temperature=0.5, symmetric=False)(student, teacher)
    assert loss.item() == pytest.approx((first + second) / 2)
    assert loss.item() == pytest.approx((0.126928 + 0.513015) / 2, abs=1e-5)
    # text to speech: by columns
    third = -math.log(math.exp(2) / (math.exp(2) + math.exp(1.2)))
    fourth = -math.log(math.exp(1.6) / (math.exp(1.6) + 1))
    loss = ContrastiveLoss(temperature=0.5)(student, teacher)
    assert loss.item() == pytest.approx((first + second + third + fourth) / 4)
    assert (third + fourth) / 2 == pytest.approx((0.371101 + 0.183901) / 2, abs=1e-5)


def test_a_repeated_sentence_is_no_wrong_answer():
    # Rows 0 and 1 have the same sentence: neither is the other's wrong answer, and
    # each has only row 2 against it.
    student = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    teacher = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    first = -math.log(math.exp(1) / (math.exp(1) + 1))
    second = -math.log(math.exp(0.8) / (math.exp(0.8) + math.exp(0.6)))
    third = -math.log(math.exp(1) / (math.exp(1) + 1 + 1))
    loss = ContrastiveLoss(temperature=1.0, symmetric=False)(student, teacher)
    assert loss.item() == pytest.approx((first + second + third) / 3)
    # the other way, utterances of the same sentence: cosines by columns
    first = -math.log(math.exp(1) / (math.exp(1) + 1))
    second = -math.log(math.exp(0.8) / (math.exp(0.8) + 1))
    third = -math.log(math.exp(1) / (math.exp(1) + 1 + math.exp(0.6)))
    both = ContrastiveLoss(temperature=1.0)(student, teacher)
    expected = (loss.item() + (first + second + third) / 3) / 2
    assert both.item() == pytest.approx(expected)
    # all the same sentence: nothing to tell apart
    same = ContrastiveLoss()(student, teacher[:1].expand(3, -1))
    assert same.item() == 0


def test_of_one_sentence_has_a_gradient():
    student = torch.tensor([[0.6, 0.8]], requires_grad=True)
    loss = ContrastiveLoss()(student, torch.tensor([[1.0, 0.0]]))
    loss.backward()
    assert loss.item() == 0 and student.grad.tolist() == [[0, 0]]


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_refused(temperature):
    with pytest.raises(ValueError, match=f"must be positive, but got {temperature}"):
        ContrastiveLoss(temperature=temperature)
