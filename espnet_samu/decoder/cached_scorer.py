"""ESPnet's scorer interface over the prefix cache: each step reads one new token."""

from dataclasses import dataclass
from typing import Any

import torch
from espnet2.legacy.nets.scorer_interface import BatchScorerInterface

from espnet_samu.decoder.batch_languages import insert_language_tokens
from espnet_samu.decoder.prefix_cache import PrefixTree
from espnet_samu.utils.torch_modules import at_least_float32, valid_mask


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
