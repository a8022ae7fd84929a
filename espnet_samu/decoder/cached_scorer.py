"""Key-value cache of a beam search, and ESPnet's scorer interface over it.

The prefixes of all hypotheses are one tree; each step reads one new token.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from espnet2.legacy.nets.scorer_interface import BatchScorerInterface
from transformers.cache_utils import (
    Cache,
    DynamicCache,
    DynamicLayer,
    EncoderDecoderCache,
)

from espnet_samu.decoder.batch_languages import insert_language_tokens
from espnet_samu.utils.torch_modules import at_least_float32, valid_mask


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


@dataclass(frozen=True, eq=False)
class PrefixSearch:
    """Beam search over a batch, shared by the states of its hypotheses."""

    tree: PrefixTree
    """All prefixes."""
    languages: torch.Tensor | None
    """Rows of the target-language tokens (B,), or None."""


# Not a tuple: ESPnet takes those apart.
@dataclass(frozen=True, eq=False)
class Prefix:
    """Cached prefix of a hypothesis: its state in ESPnet's beam search."""

    search: PrefixSearch
    """The search that it belongs to."""
    n_tokens: int = 0
    """Number of tokens read, the target language among them."""
    utterance: int | None = None
    """Row of its utterance in the batch; None before the first token."""
    own: torch.Tensor | None = None
    """Which tokens of the tree are its own (S,)."""


class CachedScorer(BatchScorerInterface):
    """ESPnet's scorer interface over a :class:`PrefixTree`; mixin for a decoder.

    For a decoder that has ``model``, ``languages``, ``encode_frames``, ``logits``,
    ``autocast`` and ``check_length``.

    The tree is part of the states, not of the decoder: it is freed with them, and
    threads may search with one decoder. States of several searches, or None, are not
    an error: the prefixes are read again. So is a batch that was not announced by
    ``batch_init_state``.
    """

    def init_state(self, x: torch.Tensor) -> Prefix:
        """Return the state of the empty hypothesis over frames (T, D)."""
        return self.batch_init_state(x)

    @torch.no_grad()
    def batch_init_state(
        self, x: torch.Tensor, xs_lengths: torch.Tensor | None = None
    ) -> Prefix:
        """Return the state of the empty hypothesis.

        Args:
            x: Frames (T, D), or (B, T, D) of several utterances.
            xs_lengths: Number of frames (B,); None: none of them are padding.

        Returns:
            The state of every hypothesis at the start of a search.
        """
        valid = None
        if xs_lengths is not None and int(xs_lengths.min()) < x.size(-2):
            valid = valid_mask(xs_lengths.to(x.device), x.size(-2))
        return self._start_search(x if x.dim() == 3 else x[None], valid)

    def score(
        self, ys: torch.Tensor, state: Any, x: torch.Tensor
    ) -> tuple[torch.Tensor, Prefix]:
        """Return log-probabilities of the next token of one hypothesis.

        Args:
            ys: Token ids (L,), the start token first.
            state: Of the hypothesis without its last token.
            x: Speech frames (T, D).

        Returns:
            Log-probabilities (V,); the state of this hypothesis.
        """
        scores, states = self.batch_score(ys[None], [state], x[None])
        return scores[0], states[0]

    @torch.no_grad()
    def batch_score(
        self,
        ys: torch.Tensor,
        states: list[Any],
        xs: torch.Tensor,
        xs_mask: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, list[Prefix]]:
        """Return log-probabilities of the next token of hypotheses of equal length.

        Args:
            ys: Token ids (N, L), the start token first.
            states: Of the hypotheses without their last token.
            xs: Speech frames (N, T, D).
            xs_mask: True where a frame is not padding (N, 1, T); None: everywhere.

        Returns:
            Log-probabilities (N, V); the states of these hypotheses.

        Raises:
            ValueError: The hypotheses are longer than the decoder can read.
        """
        if not self._can_continue(ys, states):
            valid = None if xs_mask is None else xs_mask[:, 0]
            if len(xs) == 1 or xs.stride(0) == 0:
                # ESPnet expands the frames of a single utterance.
                xs, valid = xs[:1], None if valid is None else valid[:1]
            states = [self._start_search(xs, valid, repeat=True)] * len(ys)
        search = states[0].search
        tree, languages = search.tree, search.languages
        start = states[0].n_tokens
        if start == 0:
            share = len(ys) // tree.n_utterances
            utterances = [i // share for i in range(len(ys))]
            own = torch.zeros(len(ys), 0, dtype=torch.bool, device=xs.device)
            rows = None if languages is None else languages[utterances]
            tokens = insert_language_tokens(ys.to(xs.device), rows)
        else:
            utterances = [state.utterance for state in states]
            own = _stack([state.own for state in states], tree.n_tokens)
            tokens = ys[:, -1:].to(xs.device)
        n_tokens = start + tokens.size(1)
        self.check_length(n_tokens)
        with self.autocast(xs):
            hidden, own = tree.read(tokens, start, own, utterances)
            # Sums over a hypothesis need more than half precision.
            scores = at_least_float32(self.logits(hidden)).log_softmax(-1)
        rows = zip(utterances, own)
        return scores, [Prefix(search, n_tokens, u, row) for u, row in rows]

    def _start_search(
        self, xs: torch.Tensor, valid: torch.Tensor | None, repeat: bool = False
    ) -> Prefix:
        """Start a search over frames (B, T, D) with a mask (B, T)."""
        languages = self.languages.rows(len(xs), xs.device, repeat)
        with self.autocast(xs):
            frames = self.encode_frames(xs.to(self.model.dtype))
        tree = PrefixTree(self.model.model.decoder, frames, valid)
        return Prefix(PrefixSearch(tree, languages))

    def _can_continue(self, ys: torch.Tensor, states: list[Any]) -> bool:
        """Return whether all states are of one search and lack one token."""
        if any(s is None or s.search is not states[0].search for s in states):
            return False
        search = states[0].search
        if all(s.n_tokens == 0 for s in states):
            return len(states) % search.tree.n_utterances == 0
        behind = ys.size(1) - 1 + (search.languages is not None)
        return all(s.n_tokens == behind for s in states)


def _stack(masks: list[torch.Tensor], size: int) -> torch.Tensor:
    """Pad masks (S,) with False to (N, size)."""
    pad = torch.nn.functional.pad
    return torch.stack([pad(mask, (0, size - len(mask))) for mask in masks])
