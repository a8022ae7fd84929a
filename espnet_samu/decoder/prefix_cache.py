"""Key-value cache of a beam search: the prefixes of all hypotheses as one tree."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import (
    Cache,
    DynamicCache,
    DynamicLayer,
    EncoderDecoderCache,
)


class GrowingLayer(DynamicLayer):
    """Cache of a layer, with spare room in which new tokens are written.

    transformers' DynamicLayer copies all of them for every new one. Not for training:
    the buffer is changed in place.
    """

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args, **kwargs
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append keys and values (B, H, Q, D / H); return all (B, H, S, D / H)."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.keys = key_states[:, :, :0]
            self.values = value_states[:, :, :0]
            self._room = self.keys, self.values
        assert self.keys is not None and self.values is not None
        start = self.keys.size(2)
        end = start + key_states.size(2)
        if end > self._room[0].size(2):
            self._room = (
                self._with_room(self.keys, 2 * end),
                self._with_room(self.values, 2 * end),
            )
        keys, values = self._room
        keys[:, :, start:end] = key_states
        values[:, :, start:end] = value_states
        self.keys, self.values = keys[:, :, :end], values[:, :, :end]
        return self.keys, self.values

    @staticmethod
    def _with_room(old: torch.Tensor, size: int) -> torch.Tensor:
        room = old.new_empty(*old.shape[:2], size, old.size(3))
        room[:, :, : old.size(2)] = old
        return room


class PrefixTree:
    """Keys and values of every token of every hypothesis of a search.

    Each utterance has one growing row of tokens, and a hypothesis is a mask over it:
    the tokens that are its own. Reordering, copying and dropping hypotheses copies no
    keys or values. The keys and values of the frames are computed once for each
    utterance and shared by its hypotheses, which stand in the batch as queries of one
    row.

    Tokens of hypotheses that were dropped stay: with K hypotheses attention looks at K
    times as many keys as a hypothesis has, which is little beside the projections.

    Args:
        decoder: transformers' decoder of a family of FAMILIES.
        frames: Frames (B, T, D) of the decoder's dimension D.
        valid: Mask (B, T) of the frames; None: none is padding.
    """

    def __init__(
        self,
        decoder: Any,
        frames: torch.Tensor,
        valid: torch.Tensor | None = None,
    ):
        self.decoder = decoder
        self.frames = frames
        self.frame_mask = None if valid is None else self._added(valid.bool()[:, None])
        cache = Cache(layers=[GrowingLayer() for _ in decoder.layers])
        self.cache = EncoderDecoderCache(cache, DynamicCache())

    @property
    def n_utterances(self) -> int:
        """Number of utterances B."""
        return self.frames.size(0)

    @property
    def n_tokens(self) -> int:
        """Number of tokens S read for each utterance, by all hypotheses together."""
        return self.cache.get_seq_length()

    def read(
        self,
        tokens: torch.Tensor,
        start: int,
        own: torch.Tensor,
        utterances: Sequence[int],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append tokens to hypotheses.

        Args:
            tokens: The next P tokens of each hypothesis (N, P).
            start: Number of tokens that each has read before.
            own: Which of the S tokens of its utterance are a hypothesis's own (N, S).
            utterances: Utterance of each hypothesis, 0 to B - 1.

        Returns:
            Last hidden state of each hypothesis (N, D); which tokens are its own now
            (N, S + K * P) where K is the greatest number of hypotheses of an utterance.
        """
        slots, width = _slots(utterances, self.n_utterances)
        n_new, device = tokens.size(1), tokens.device
        tokens = self._to_grid(tokens, slots, width)
        own = self._to_grid(own, slots, width)
        # A new token sees the old ones of its hypothesis, itself and those before it.
        old = own.repeat_interleave(n_new, dim=1)
        causal = torch.ones(n_new, n_new, dtype=torch.bool, device=device).tril()
        new = torch.block_diag(*[causal] * width).bool()
        seen = torch.cat([old, new.expand(self.n_utterances, -1, -1)], dim=-1)
        positions = torch.arange(start, start + n_new, device=device).repeat(width)
        hidden = self._layers(tokens.flatten(1), positions, seen)
        last = slice(n_new - 1, None, n_new)
        hidden, seen = hidden[:, last].flatten(0, 1), seen[:, last].flatten(0, 1)
        if slots is None:
            return hidden, seen
        return hidden[slots], seen[slots]

    def _to_grid(
        self, rows: torch.Tensor, slots: list[int] | None, width: int
    ) -> torch.Tensor:
        """Return rows (N, ...) as (B, K, ...), zero-filled for missing hypotheses."""
        grid = rows
        if slots is not None:
            grid = rows.new_zeros(self.n_utterances * width, *rows.shape[1:])
            grid[slots] = rows
        return grid.unflatten(0, (self.n_utterances, width))

    def _layers(
        self, tokens: torch.Tensor, positions: torch.Tensor, seen: torch.Tensor
    ) -> torch.Tensor:
        """Return hidden states (B, Q, D) of tokens (B, Q), masked by (B, Q, S)."""
        decoder = self.decoder
        hidden = decoder.embed_tokens(tokens)
        hidden = hidden + decoder.embed_positions(tokens, position_ids=positions)
        # mBART has both norms, M2M-100 only the last one, BART only the first one.
        if hasattr(decoder, "layernorm_embedding"):
            hidden = decoder.layernorm_embedding(hidden)
        mask = self._added(seen)
        for layer in decoder.layers:
            hidden = layer(
                hidden,
                mask,
                self.frames,
                encoder_attention_mask=self.frame_mask,
                past_key_values=self.cache,
                use_cache=True,
            )
        if hasattr(decoder, "layer_norm"):
            hidden = decoder.layer_norm(hidden)
        return hidden

    def _added(self, seen: torch.Tensor) -> torch.Tensor:
        """Return the additive attention mask (B, 1, Q, S): 0 where seen, else -inf."""
        dtype = self.decoder.embed_tokens.weight.dtype
        mask = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
        return mask.masked_fill(~seen, float("-inf"))[:, None]


def _slots(
    utterances: Sequence[int], n_utterances: int
) -> tuple[list[int] | None, int]:
    """Return places of hypotheses in a grid (B, K), None if in order; its width K."""
    counts = [0] * n_utterances
    places = []
    for utterance in utterances:
        places.append((utterance, counts[utterance]))
        counts[utterance] += 1
    width = max(counts)
    slots = [utterance * width + k for utterance, k in places]
    if slots == list(range(n_utterances * width)):
        return None, width
    return slots, width
