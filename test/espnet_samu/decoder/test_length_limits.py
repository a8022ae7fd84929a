import torch

from espnet_samu.decoder.length_limits import LongestLengths, ShortestLengths

# Two utterances, two hypotheses of each, two tokens after a prefix of one.
TOKENS = torch.zeros(4, 3, dtype=torch.long)


def test_shortest_by_hand():
    limit = ShortestLengths(torch.tensor([3, 2]), prefix=1, eos=1)
    scores = torch.tensor([[0.1, 0.2, 0.3]]).repeat(4, 1)
    out = limit(TOKENS, scores)
    inf = float("-inf")
    expected = [[0.1, inf, 0.3], [0.1, inf, 0.3], [0.1, 0.2, 0.3], [0.1, 0.2, 0.3]]
    assert torch.equal(out, torch.tensor(expected))
    assert scores[0, 1] == torch.tensor(0.2)


def test_longest_by_hand():
    limit = LongestLengths(torch.tensor([3, 2]), prefix=1)
    assert limit(TOKENS, None).tolist() == [False, False, True, True]
    assert limit(TOKENS[:2, :1], None).tolist() == [False, False]
