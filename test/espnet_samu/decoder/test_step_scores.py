import torch

from espnet_samu.decoder.step_scores import ReleaseScores


def test_empties_the_last_one():
    scores = (torch.zeros(0), torch.ones(2, 5))
    tokens = torch.zeros(2, 3, dtype=torch.long)
    assert ReleaseScores()(tokens, scores).tolist() == [False, False]
    assert [step.numel() for step in scores] == [0, 0]
    assert ReleaseScores()(tokens, None).tolist() == [False, False]
