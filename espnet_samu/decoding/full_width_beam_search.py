"""ESPnet's beam search with the ends of transformers'."""

from typing import Any, Dict, List, Tuple

import torch
from espnet2.legacy.nets.batch_beam_search import BatchBeamSearch, BatchHypothesis

from espnet_samu.decoding.ended_hypotheses import EndedHypotheses
from espnet_samu.decoding.hypothesis import Hypothesis


class FullWidthBeamSearch(BatchBeamSearch):
    """Scorers, their weights and states are ESPnet's; ends and limits are not.

    As in transformers' ``generate``, and other than in :class:`BatchBeamSearch`:

    * ``beam_size`` hypotheses are continued at every step. In ESPnet one that has
      ended takes the place of one that could be continued.
    * Before an utterance's least number of tokens there is no end. ESPnet lets
      hypotheses end and drops them.
    * A hypothesis of the greatest number of tokens is complete. ESPnet appends an end
      token to it that is in the length, but not in the score.
    * An utterance is done when no hypothesis is expected to become better than the
      ``beam_size`` best ended ones. ESPnet goes on until all have ended, or, with
      maxlenratio 0, until three lengths running have no good one (``end_detect``).
    * With beam_size 1 the first end is the end.

    Args:
        length_penalty: Exponent of the length by which scores are divided.
        kwargs: Of :class:`BatchBeamSearch`.
    """

    def __init__(self, *args: Any, length_penalty: float = 1.0, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.length_penalty = length_penalty

    @torch.no_grad()
    def decode(
        self,
        frames: torch.Tensor,
        lengths: torch.Tensor,
        shortest: List[int],
        longest: List[int],
    ) -> List[List[Hypothesis]]:
        """Search for the translations of a batch.

        Args:
            frames: Encoded speech (B, T, D).
            lengths: Number of frames (B,).
            shortest: Least number of tokens of each utterance, without the end token.
            longest: Greatest number, with it.

        Returns:
            For each utterance its ended hypotheses, at most beam_size, best first.
        """
        bonus = max(0.0, self.weights.get("length_bonus", 0.0))
        self._ended = [
            EndedHypotheses(self.beam_size, limit, self.length_penalty, bonus)
            for limit in longest
        ]
        self._shortest = shortest
        self._done = [False] * len(longest)
        running = self.init_hyp(frames, lengths)
        xs, mask, _, _ = self._replicate_over_beam(frames, lengths, None, None, True)
        for self._length in range(1, max(longest) + 1):
            running = self.search(running, xs, xs_mask=mask)
            if all(self._done):
                break
        return [ended.best for ended in self._ended]

    def score_partial(
        self, *args: Any, **kwargs: Any
    ) -> Tuple[Dict[str, torch.Tensor], Dict[str, Any]]:
        """As ESPnet's, but what CTC has ruled out stays ruled out.

        A token outside of the pre-beam, or the blank, gets -1e10 and is continued if
        there are not beam_size others. The next score is a difference to it, about
        1e10, which would make it as good as any.
        """
        scores, states = super().score_partial(*args, **kwargs)
        return {key: score.clamp(max=0.0) for key, score in scores.items()}, states

    def _make_batch(
        self,
        batch_select: bool,
        running_hyps: BatchHypothesis,
        weighted_scores: torch.Tensor,
        prev_hyp_ids: torch.Tensor,
        new_token_ids: torch.Tensor,
        top_ids: torch.Tensor,
        **others: Any,
    ) -> BatchHypothesis:
        """Take the ended hypotheses out; continue the best of all others.

        ESPnet's ``search`` calls it with the best beam_size continuations.
        """
        n_utt = running_hyps.n_utt
        totals = weighted_scores.view(n_utt, -1)
        all_ids, all_scores = top_ids, totals.gather(1, top_ids)
        if bool((new_token_ids == self.eos).any()):
            lowest = torch.finfo(totals.dtype).min / 4
            weighted_scores[:, self.eos] = lowest
            top_ids = totals.topk(self.beam_size, dim=-1)[1]
            first = torch.arange(n_utt, device=top_ids.device)[:, None]
            first = first * running_hyps.n_hyp_per_utt
            prev_hyp_ids = (top_ids // self.n_vocab + first).view(-1)
            new_token_ids = (top_ids % self.n_vocab).view(-1)
        scores = totals.gather(1, top_ids)
        self._collect(running_hyps, all_ids, all_scores, top_ids, scores)
        batch = super()._make_batch(
            batch_select=batch_select,
            running_hyps=running_hyps,
            weighted_scores=weighted_scores,
            prev_hyp_ids=prev_hyp_ids,
            new_token_ids=new_token_ids,
            top_ids=top_ids,
            **others,
        )
        if n_utt == 1:
            return batch
        active = [not done for done in self._done for _ in range(self.beam_size)]
        return batch.replace(active=torch.tensor(active), done=torch.tensor(self._done))

    def _collect(
        self,
        hyps: BatchHypothesis,
        all_ids: torch.Tensor,
        all_scores: torch.Tensor,
        running_ids: torch.Tensor,
        running_scores: torch.Tensor,
    ) -> None:
        """Keep what ends, and note which utterances are done.

        Args:
            hyps: Hypotheses that are continued.
            all_ids: Best continuations (B, K), hypothesis * V + token.
            all_scores: Their sums (B, K).
            running_ids: Best continuations without an end token (B, K).
            running_scores: Their sums (B, K).
        """
        every = list(zip(all_ids.tolist(), all_scores.tolist()))
        running = list(zip(running_ids.tolist(), running_scores.tolist()))
        for b, ended in enumerate(self._ended):
            if self._done[b]:
                continue
            is_last = self._length == ended.longest
            may_end = self._length > self._shortest[b]
            for place, score in zip(*(every if may_end else running)[b]):
                row, token = divmod(place, self.n_vocab)
                if token != self.eos and not is_last:
                    continue
                tokens = hyps.yseq[b * hyps.n_hyp_per_utt + row, 1:].tolist()
                if token != self.eos:
                    tokens.append(token)
                ended.add(tokens, self._length, score)
            best = running[b][1][0]
            self._done[b] = is_last or ended.is_complete(best, self._length)
