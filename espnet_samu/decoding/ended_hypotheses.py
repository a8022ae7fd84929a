"""The ended hypotheses of one utterance."""

from typing import List

from espnet_samu.decoding.hypothesis import Hypothesis


class EndedHypotheses:
    """The best so many ended hypotheses, and whether better ones can follow.

    Args:
        size: Number K of hypotheses that are kept.
        longest: Greatest number of tokens of the utterance.
        length_penalty: Exponent of the length by which scores are divided.
        bonus: Greatest sum of scores that a token can add, at least 0.
    """

    def __init__(self, size: int, longest: int, length_penalty: float, bonus: float):
        self.size = size
        self.longest = longest
        self.length_penalty = length_penalty
        self.bonus = bonus
        self.best: List[Hypothesis] = []

    def add(self, tokens: List[int], length: int, score: float) -> None:
        """Take a hypothesis in if it is among the K best.

        Args:
            tokens: Without the end token.
            length: Number of tokens, the end token is one.
            score: Sum over the tokens.
        """
        score = score / length**self.length_penalty
        self.best.append(Hypothesis(tokens, length, score))
        self.best.sort(key=lambda hypothesis: -hypothesis.score)
        del self.best[self.size :]

    def is_complete(self, score: float, length: int) -> bool:
        """Whether no running hypothesis is expected to get in any more.

        With a length_penalty this is transformers' heuristic: the best one will not
        get a better mean.

        Args:
            score: Of the best running hypothesis, the sum over its tokens.
            length: Its number of tokens.
        """
        if len(self.best) < self.size:
            return False
        if self.size == 1:
            # A greedy search goes on with one hypothesis; it has ended.
            return True
        if self.length_penalty == 0:
            score += self.bonus * (self.longest - length)
        return score / length**self.length_penalty <= self.best[-1].score
