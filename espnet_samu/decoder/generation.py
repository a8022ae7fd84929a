"""Translation by transformers' ``generate``."""

from typing import Any, NamedTuple, Optional

import torch
from transformers import LogitsProcessorList, StoppingCriteriaList
from transformers.modeling_outputs import BaseModelOutput

from espnet_samu.decoder import target_languages
from espnet_samu.decoder.frames_cache import FramesCache
from espnet_samu.decoder.length_limits import LongestLengths, ShortestLengths
from espnet_samu.decoder.step_scores import ReleaseScores
from espnet_samu.utils.autocast import at_least_float32
from espnet_samu.utils.masks import valid_mask

# Rows of logits that are computed at once when a translation is scored.
_ROWS = 64


class Hypotheses(NamedTuple):
    """The n best translations of each of B utterances, best first."""

    tokens: torch.Tensor
    """Token ids (B * n, L) without start and language tokens, filled on the right."""
    lengths: torch.Tensor
    """Number of tokens (B * n,), the end token included if there is one."""
    scores: torch.Tensor
    """Log-probabilities (B * n,), divided by lengths ** length_penalty."""


class Generation:
    """Search by transformers, one of a decoder's bases.

    For a decoder that has ``model``, ``languages``, ``encode_frames``,
    ``hidden_states``, ``logits``, ``autocast`` and ``check_length``.
    """

    @torch.no_grad()
    def generate(
        self,
        hs_pad: torch.Tensor,
        hlens: torch.Tensor,
        sos: int,
        eos: int,
        lang_token_ids: Optional[torch.Tensor] = None,
        **options: Any,
    ):
        """Translate by transformers' cached ``generate``.

        Args:
            hs_pad: Speech frames (B, T, D).
            hlens: Number of frames (B,).
            sos: Id of the start token.
            eos: Id of the end token.
            lang_token_ids: Target-language token of each utterance (B,). None: those
                of :meth:`target_languages`, or ``lang_token_id``.
            options: Of ``GenerationMixin.generate``: num_beams, max_new_tokens, ...

        Returns:
            transformers' output object. ``sequences`` (B * num_return_sequences, L)
            begin with the start token and, if there is one, the language token.

        Raises:
            ValueError: The longest translation would be longer than the decoder can
                read.
        """
        tokens = self._prefix(hs_pad, sos, lang_token_ids)
        longest = options.get("max_length")
        if options.get("max_new_tokens") is not None:
            longest = tokens.size(1) + options["max_new_tokens"]
        if longest is not None:
            # The last token is not read.
            self.check_length(longest - 1)
        if options.get("num_beams", 1) > 1:
            options.setdefault("past_key_values", FramesCache())
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
        shortest: Optional[torch.Tensor] = None,
        lang_token_ids: Optional[torch.Tensor] = None,
        num_beams: int = 1,
        length_penalty: float = 1.0,
        **options: Any,
    ) -> Hypotheses:
        """Translate, with the log-probabilities of the translations.

        The scores of a step are not kept longer than the step. Those of beams are the
        search's own; a search without beams has none, so that its translations are
        read once more.

        Args:
            hs_pad: Speech frames (B, T, D).
            hlens: Number of frames (B,).
            sos: Id of the start token.
            eos: Id of the end token.
            longest: Greatest number of tokens (B,), the end token among them.
            shortest: Least number of tokens (B,); None: no limit.
            lang_token_ids: As for :meth:`generate`.
            num_beams: Number of beams.
            length_penalty: Exponent of the length by which log-probabilities are
                divided; 0: not divided.
            options: Of :meth:`generate`, e.g. num_return_sequences.

        Raises:
            ValueError: As for :meth:`generate`.
        """
        prefix = self._prefix(hs_pad, sos, lang_token_ids).size(1)
        criteria = [LongestLengths(longest, prefix), ReleaseScores()]
        if shortest is not None:
            processor = ShortestLengths(shortest, prefix, eos)
            options["logits_processor"] = LogitsProcessorList([processor])
        if num_beams > 1:
            # A search without beams would warn that it has no such options.
            options.update(length_penalty=length_penalty, output_scores=True)
        output = self.generate(
            hs_pad,
            hlens,
            sos,
            eos,
            lang_token_ids,
            num_beams=num_beams,
            max_new_tokens=int(longest.max()),
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
        scores = self._score_again(
            hs_pad.repeat_interleave(n_best, 0),
            hlens.repeat_interleave(n_best, 0),
            output.sequences,
            lengths,
        )
        return Hypotheses(tokens, lengths, scores / lengths**length_penalty)

    def _prefix(
        self, hs_pad: torch.Tensor, sos: int, rows: Optional[torch.Tensor]
    ) -> torch.Tensor:
        """What every translation begins with (B, 1 or 2)."""
        start = torch.full((len(hs_pad), 1), sos, device=hs_pad.device)
        if rows is None:
            rows = self.languages.rows(len(hs_pad), hs_pad.device)
        else:
            with self.languages.of_batch(rows):
                rows = self.languages.rows(len(hs_pad), hs_pad.device)
        return target_languages.insert(start, rows)

    def _score_again(
        self,
        hs_pad: torch.Tensor,
        hlens: torch.Tensor,
        sequences: torch.Tensor,
        lengths: torch.Tensor,
    ) -> torch.Tensor:
        """Log-probabilities (N,) of the tokens that end sequences (N, L)."""
        size = int(lengths.max())
        prefix = sequences.size(1) - size
        with self.autocast(hs_pad):
            hidden = self.hidden_states(hs_pad, hlens, sequences[:, :-1])
            hidden = hidden[:, prefix - 1 :]
            steps = max(1, _ROWS // len(sequences))
            targets = sequences[:, prefix:].split(steps, dim=1)
            scores = [
                at_least_float32(self.logits(h))
                .log_softmax(-1)
                .gather(2, t[..., None])[..., 0]
                for h, t in zip(hidden.split(steps, dim=1), targets)
            ]
        valid = valid_mask(lengths, size).bool()
        return torch.cat(scores, dim=1).masked_fill(~valid, 0.0).sum(1)
