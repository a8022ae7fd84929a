import numpy as np
import pytest

from espnet_samu.scoring.neighbours import Neighbours
from espnet_samu.scoring.xsim import similarity_error


def test_by_hand():
    # Three queries, two candidates, k = 2. a(x) = .8, .7, 1; a(y) = .85, .5.
    forward = Neighbours(
        rank=np.array([2, 1, 0]),
        index=np.array([[0, 1], [0, 1], [0, 1]]),
        cosine=np.array([[0.9, 0.7], [0.8, 0.6], [1.0, 1.0]]),
    )
    backward = Neighbours(
        rank=np.array([1, 2]),
        index=np.array([[0, 1], [1, 0]]),
        cosine=np.array([[0.9, 0.8], [0.6, 0.4]]),
    )
    texts = np.array([7, 5, 9]), np.array([5, 7])
    # query 1: .9 / .825 = 1.091 (wrong), .7 / .65 = 1.077 (right): wrong
    # query 2: .8 / .775 = 1.032 (right), .6 / .6 = 1 (wrong): right
    # query 3 has no match and is left out
    assert similarity_error(forward, backward, *texts, "ratio") == 50.0
    # query 1: .9 - .825 = .075 (wrong), .7 - .65 = .05 (right): wrong
    # query 2: .8 - .775 = .025 (right), .6 - .6 = 0 (wrong): right
    assert similarity_error(forward, backward, *texts, "distance") == 50.0
    assert similarity_error(forward, backward, *texts, "absolute") == 50.0
    with pytest.raises(ValueError, match=r"margin must be one of .*: 'x'"):
        similarity_error(forward, backward, *texts, "x")


def test_margin_mends_a_hub():
    # Candidate 0 is near to everyone: a(y) = .9 against .5.
    forward = Neighbours(np.array([2]), np.array([[0, 1]]), np.array([[0.8, 0.7]]))
    backward = Neighbours(
        np.array([1, 1]), np.array([[0], [0]]), np.array([[0.9], [0.5]])
    )
    texts = np.array([1]), np.array([0, 1])
    # .8 / .825 < .7 / .625
    assert similarity_error(forward, backward, *texts, "ratio") == 0.0
    assert similarity_error(forward, backward, *texts, "absolute") == 100.0
