"""Translation by transformers' ``generate``."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import torch
from transformers import (
    DynamicCache,
    EncoderDecoderCache,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)
from transformers.modeling_outputs import BaseModelOutput

from espnet_samu.decoder.batch_languages import BatchLanguages, insert_language_tokens
from espnet_samu.utils.torch_modules import valid_mask


def _of_rows(limits: torch.Tensor, rows: int) -> torch.Tensor:
    """Repeat limits (B,) for the N hypotheses of B utterances."""
    return limits.repeat_interleave(rows // limits.size(0))


class ChosenScores(LogitsProcessor):
    """Log-probabilities of the tokens that a search without beams chooses.

    It changes nothing. Among the processors that ``generate`` is given it is the first;
    those of sampling (temperature, top k, top p) come after them.
    """

    def __init__(self) -> None:
        self._steps: list[torch.Tensor] = []
        self._last: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the scores (N, V) of the token that follows tokens (N, L)."""
        self._add(input_ids)
        self._last = scores.log_softmax(-1)
        return scores

    def _add(self, tokens: torch.Tensor) -> None:
        if self._last is not None:
            chosen = tokens[:, -1:]
            self._steps.append(self._last.gather(1, chosen))

    def sums(self, sequences: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Return log-probabilities (N,) of what was generated.

        Args:
            sequences: All tokens (N, L).
            lengths: Number of generated tokens (N,) that count.
        """
        self._add(sequences)
        scores = torch.cat(self._steps, dim=1)
        valid = valid_mask(lengths, scores.size(1)).bool()
        return scores.masked_fill(~valid, 0.0).sum(1)


class ShortestLengths(LogitsProcessor):
    """Minimum length for each utterance: no end token before it.

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
        """Return the scores (N, V) of the token that follows tokens (N, L)."""
        n_tokens = input_ids.size(1) - self.prefix
        early = n_tokens < _of_rows(self.shortest, scores.size(0))
        scores = scores.clone()
        scores[:, self.eos].masked_fill_(early, float("-inf"))
        return scores


class LongestLengths(StoppingCriteria):
    """Maximum length for each utterance: its hypotheses stop there.

    Args:
        longest: Greatest number of tokens (B,), the end token among them.
        prefix: Number of tokens that every hypothesis starts with.
    """

    def __init__(self, longest: torch.Tensor, prefix: int):
        self.longest = longest
        self.prefix = prefix

    def __call__(self, input_ids: torch.Tensor, scores, **kwargs) -> torch.Tensor:
        """Return which hypotheses (N, L) have reached their limit (N,)."""
        n_tokens = input_ids.size(1) - self.prefix
        return n_tokens >= _of_rows(self.longest, input_ids.size(0))


class ReleaseScores(StoppingCriteria):
    """Frees the scores of each step after use; never stops the search.

    ``generate`` gives the scores of hypotheses only with ``output_scores``, and then
    keeps the scores of all V tokens of every step: 60 steps of 16 utterances, 5 beams
    and 250,054 tokens are 4.8 GB. It hands them to the stopping criteria, after the
    step has used them. ``output.scores`` is of no use afterwards.
    """

    def __call__(self, input_ids: torch.Tensor, scores, **kwargs) -> torch.Tensor:
        """Free the last step's scores; return False for every hypothesis (N, L)."""
        if scores:
            scores[-1].set_()
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


class BeamCache(EncoderDecoderCache):
    """Key-value cache for beam search that never copies the frames' part.

    Beams of an utterance change places among themselves, and read the same frames:
    only their own tokens have to follow them. transformers copies both, and the
    frames' part is the larger one.
    """

    def __init__(self) -> None:
        super().__init__(DynamicCache(), DynamicCache())

    def reorder_cache(self, beam_idx: torch.LongTensor) -> None:
        """Reorder the self-attention cache by beams.

        Args:
            beam_idx: Old place of each beam (B * n,).
        """
        self.self_attention_cache.reorder_cache(beam_idx)


class Hypotheses(NamedTuple):
    """N-best translations of each of B utterances, best first."""

    tokens: torch.Tensor
    """Token ids (B * n, L) without start and language tokens, filled on the right."""
    lengths: torch.Tensor
    """Number of tokens (B * n,), the end token included if there is one."""
    scores: torch.Tensor
    """Log-probabilities (B * n,), divided by lengths ** length_penalty."""


class Generation:
    """Search by ``generate``; mixin for a decoder with these attributes."""

    model: Any
    languages: BatchLanguages
    encode_frames: Callable[[torch.Tensor], torch.Tensor]
    autocast: Callable[[torch.Tensor], AbstractContextManager[None]]
    check_length: Callable[[int], None]

    @torch.no_grad()
    def generate(
        self,
        hs_pad: torch.Tensor,
        hlens: torch.Tensor,
        sos: int,
        eos: int,
        **options: Any,
    ):
        """Translate with transformers' cached ``generate``.

        Target languages are those of :meth:`target_languages`, or ``lang_token_id``.

        Args:
            hs_pad: Speech frames (B, T, D).
            hlens: Number of frames (B,).
            sos: Id of the start token.
            eos: Id of the end token.
            options: Of ``GenerationMixin.generate``: num_beams, max_new_tokens, ...

        Returns:
            transformers' output object. ``sequences`` (B * num_return_sequences, L)
            begin with the start token and, if there is one, the language token.

        Raises:
            ValueError: The longest translation would be longer than the decoder can
                read.
        """
        tokens = self._prefix(hs_pad, sos)
        longest = options.get("max_length")
        if options.get("max_new_tokens") is not None:
            longest = tokens.size(1) + options["max_new_tokens"]
        if longest is not None:
            # The last token is not read.
            self.check_length(longest - 1)
        if options.get("num_beams", 1) > 1:
            options.setdefault("past_key_values", BeamCache())
        with self.autocast(hs_pad):
            return self.model.generate(
                encoder_outputs=BaseModelOutput(self.encode_frames(hs_pad)),
                attention_mask=valid_mask(hlens, hs_pad.size(1)),
                decoder_input_ids=tokens,
                decoder_start_token_id=sos,
                eos_token_id=eos,
                pad_token_id=self.model.config.pad_token_id,
                # The prefix has it already.
                forced_bos_token_id=None,
                # mBART's own: at the limit of the longest utterance of the batch alone.
                forced_eos_token_id=None,
                return_dict_in_generate=True,
                **options,
            )

    @torch.no_grad()
    def generate_with_scores(
        self,
        hs_pad: torch.Tensor,
        hlens: torch.Tensor,
        sos: int,
        eos: int,
        longest: torch.Tensor,
        shortest: torch.Tensor | None = None,
        num_beams: int = 1,
        length_penalty: float = 1.0,
        **options: Any,
    ) -> Hypotheses:
        """Translate; return log-probabilities of the translations, too.

        The scores of a step are not kept longer than the step. Those of beams are the
        search's own; without beams they are those of the chosen tokens.

        Args:
            hs_pad: Speech frames (B, T, D).
            hlens: Number of frames (B,).
            sos: Id of the start token.
            eos: Id of the end token.
            longest: Greatest number of tokens (B,), the end token among them.
            shortest: Least number of tokens (B,); None: no limit.
            num_beams: Number of beams.
            length_penalty: Exponent of the length by which log-probabilities are
                divided; 0: not divided.
            options: Of :meth:`generate`, e.g. num_return_sequences.

        Raises:
            ValueError: As for :meth:`generate`.
        """
        prefix = self._prefix(hs_pad, sos).size(1)
        criteria = [LongestLengths(longest, prefix), ReleaseScores()]
        processors = LogitsProcessorList()
        chosen = ChosenScores()
        if num_beams == 1:
            processors.append(chosen)
        if shortest is not None:
            processors.append(ShortestLengths(shortest, prefix, eos))
        if num_beams > 1:
            # A search without beams warns that it does not use these options.
            options.update(length_penalty=length_penalty, output_scores=True)
        output = self.generate(
            hs_pad,
            hlens,
            sos,
            eos,
            num_beams=num_beams,
            max_new_tokens=int(longest.max()),
            logits_processor=processors,
            stopping_criteria=StoppingCriteriaList(criteria),
            **options,
        )
        tokens = output.sequences[:, prefix:]
        if num_beams > 1:
            lengths = (output.beam_indices >= 0).sum(1)
            return Hypotheses(tokens, lengths, output.sequences_scores)
        n_best = len(tokens) // len(hs_pad)
        ended = tokens == eos
        # Without an end token there is none before the limit.
        lengths = torch.where(
            ended.any(1), ended.long().argmax(1) + 1, tokens.size(1)
        ).minimum(longest.repeat_interleave(n_best).to(tokens.device))
        scores = chosen.sums(output.sequences, lengths)
        return Hypotheses(tokens, lengths, scores / lengths**length_penalty)

    def _prefix(self, hs_pad: torch.Tensor, sos: int) -> torch.Tensor:
        """Return the first tokens of every translation (B, 1 or 2)."""
        start = torch.full((len(hs_pad), 1), sos, device=hs_pad.device)
        rows = self.languages.rows(len(hs_pad), hs_pad.device)
        return insert_language_tokens(start, rows)
