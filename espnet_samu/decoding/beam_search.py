"""ESPnet's batched beam search with several scorers, over the prefix cache."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from espnet2.legacy.nets.batch_beam_search import BatchBeamSearch, BatchHypothesis
from espnet2.legacy.nets.scorers.ctc import CTCPrefixScorer
from espnet2.legacy.nets.scorers.length_bonus import LengthBonus
from espnet2.st.espnet_model import ESPnetSTModel

from espnet_samu.decoding.search import AbsSearch, Hypothesis, SearchSettings
from espnet_samu.utils.torch_modules import at_least_float32


class EndedHypotheses:
    """The K best ended hypotheses, and whether better ones can follow.

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
        self.best: list[Hypothesis] = []

    def add(self, tokens: list[int], length: int, score: float) -> None:
        """Add a hypothesis if it is among the K best.

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
        """Return whether no running hypothesis can still be among the K best.

        With a length_penalty this is transformers' heuristic: the best one will not
        get a better mean.

        Args:
            score: Of the best running hypothesis, the sum over its tokens.
            length: Its number of tokens.
        """
        if len(self.best) < self.size:
            return False
        if self.size == 1:
            # A greedy search has a single hypothesis, and it has ended.
            return True
        if self.length_penalty == 0:
            score += self.bonus * (self.longest - length)
        return score / length**self.length_penalty <= self.best[-1].score


class FullWidthBeamSearch(BatchBeamSearch):
    """ESPnet's beam search over a batch, with ends and limits per utterance.

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
        shortest: list[int],
        longest: list[int],
    ) -> list[list[Hypothesis]]:
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
    ) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """Score as ESPnet does; tokens that CTC rules out stay at -inf.

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
        """Remove ended hypotheses; return the best running ones.

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
        """Keep ended hypotheses, and mark finished utterances.

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


class FusionSearch(AbsSearch):
    """Beam search over decoder, CTC, language model and length bonus.

    The score of a token is (1 - ctc_weight) * decoder + ctc_weight * CTC +
    lm_weight * language model + penalty, log-probabilities as in ESPnet.

    Args:
        model: With an ``mbart`` decoder.
        settings: Those of this backend are used.
        lm: Of the model's tokens, or None.

    Raises:
        ValueError: There is a ctc_weight, but no CTC over translations.
    """

    def __init__(
        self,
        model: ESPnetSTModel,
        settings: SearchSettings,
        lm: torch.nn.Module | None = None,
    ):
        self.model = model
        self.settings = settings
        self.lm = None if lm is None else lm.eval()
        self.ctc = getattr(model, "st_ctc", None)
        if settings.ctc_weight > 0:
            if self.ctc is None:
                raise ValueError(
                    f"ctc_weight {settings.ctc_weight}: the model has no CTC over "
                    "translations; train it with model_conf: st_mtlalpha above 0"
                )
            if next(self.ctc.parameters()).dtype in (torch.float16, torch.bfloat16):
                self.ctc.float()  # it reads the frames, which are float32 here

    def _search(self) -> FullWidthBeamSearch:
        """Return the search over one batch, which keeps that batch's state."""
        model, settings = self.model, self.settings
        scorers = {
            "decoder": model.decoder,
            "length_bonus": LengthBonus(len(model.token_list)),
            "lm": self.lm,
        }
        if settings.ctc_weight > 0:
            scorers["ctc"] = CTCPrefixScorer(self.ctc, model.eos)
        return FullWidthBeamSearch(
            scorers,
            {
                "decoder": 1.0 - settings.ctc_weight,
                "ctc": settings.ctc_weight,
                "lm": settings.lm_weight,
                "length_bonus": settings.penalty,
            },
            beam_size=settings.beam_size,
            vocab_size=len(model.token_list),
            sos=model.sos,
            eos=model.eos,
            pre_beam_score_key="full",
            length_penalty=settings.length_penalty,
        )

    def __call__(
        self,
        frames: torch.Tensor,
        lengths: torch.Tensor,
        languages: torch.Tensor | None = None,
    ) -> list[list[Hypothesis]]:
        """See :class:`AbsSearch`."""
        decoder = self.model.decoder
        if languages is None:
            languages = decoder.languages.rows(len(frames), frames.device)
        positions = decoder.model.config.max_position_embeddings
        shortest, longest = self.settings.length_limits(lengths, positions)
        with decoder.target_languages(languages):
            # ESPnet adds scores up in the frames' type.
            found = self._search().decode(
                at_least_float32(frames), lengths, shortest.tolist(), longest.tolist()
            )
        return [best[: self.settings.nbest] for best in found]


def load_lm(
    config: Path | str | None,
    file: Path | str | None,
    token_list: Sequence[str],
    device: str = "cpu",
) -> torch.nn.Module:
    """Load a language model of ``espnet2.bin.lm_train``.

    Args:
        config: config.yaml of the training. None: beside the file.
        file: Checkpoint.
        token_list: Of the translation model.
        device: ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        ValueError: It is of other tokens, or there is no checkpoint.
    """
    from espnet2.tasks.lm import LMTask

    if file is None:
        raise ValueError(f"lm_train_config {config}: lm_file must be given too")
    model, args = LMTask.build_model_from_file(config, file, device)
    if list(args.token_list) != list(token_list):
        raise ValueError(
            f"lm_file {file}: it has {len(args.token_list)} tokens that are not the "
            f"{len(token_list)} of the translation model; train it on the same token "
            "list"
        )
    return model.lm
