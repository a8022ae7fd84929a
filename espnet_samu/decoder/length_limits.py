"""Limits of length for each utterance of a batch, for transformers' ``generate``.

``min_new_tokens`` and ``max_new_tokens`` are one number for the whole batch, so that
limits that follow from an utterance's frames would depend on its neighbours.
"""

import torch
from transformers import LogitsProcessor, StoppingCriteria


def _of_rows(limits: torch.Tensor, rows: int) -> torch.Tensor:
    """Limits (B,) for B times as many hypotheses of each utterance in turn."""
    return limits.repeat_interleave(rows // limits.size(0))


class ShortestLengths(LogitsProcessor):
    """No end token before an utterance's least number of tokens.

    Args:
        shortest: Least number of tokens (B,).
        prefix: Number of tokens that every hypothesis starts with.
        eos: Id of the end token.
    """

    def __init__(self, shortest: torch.Tensor, prefix: int, eos: int):
        self.shortest = shortest
        self.prefix = prefix
        self.eos = eos

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores (N, V) of the token that follows tokens (N, L)."""
        n_tokens = input_ids.size(1) - self.prefix
        early = n_tokens < _of_rows(self.shortest, scores.size(0))
        scores = scores.clone()
        scores[:, self.eos].masked_fill_(early, float("-inf"))
        return scores


class LongestLengths(StoppingCriteria):
    """A hypothesis is complete with its utterance's greatest number of tokens.

    Args:
        longest: Greatest number of tokens (B,), the end token among them.
        prefix: Number of tokens that every hypothesis starts with.
    """

    def __init__(self, longest: torch.Tensor, prefix: int):
        self.longest = longest
        self.prefix = prefix

    def __call__(self, input_ids: torch.Tensor, scores, **kwargs) -> torch.Tensor:
        """Which of the hypotheses (N, L) are complete (N,)."""
        n_tokens = input_ids.size(1) - self.prefix
        return n_tokens >= _of_rows(self.longest, input_ids.size(0))
