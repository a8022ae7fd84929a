"""Search by transformers' ``generate``."""

from typing import List, Optional

import torch
from espnet2.st.espnet_model import ESPnetSTModel

from espnet_samu.decoding.abs_search import AbsSearch
from espnet_samu.decoding.hypothesis import Hypothesis
from espnet_samu.decoding.search_settings import SearchSettings


class GenerateSearch(AbsSearch):
    """Greedy, beam or random search with a K/V cache.

    Args:
        model: With an ``mbart`` decoder.
        settings: Those of this backend are used.
    """

    def __init__(self, model: ESPnetSTModel, settings: SearchSettings):
        self.model = model
        self.settings = settings
        self.options = {
            "num_beams": settings.beam_size,
            "num_return_sequences": settings.nbest,
            "length_penalty": settings.length_penalty,
            "do_sample": settings.do_sample,
        }
        if settings.do_sample:
            # transformers' own default is top_k 50.
            self.options.update(
                temperature=settings.temperature,
                top_k=settings.top_k,
                top_p=settings.top_p,
            )

    @torch.no_grad()
    def __call__(
        self,
        frames: torch.Tensor,
        lengths: torch.Tensor,
        languages: Optional[torch.Tensor] = None,
    ) -> List[List[Hypothesis]]:
        """See :class:`AbsSearch`."""
        model, nbest = self.model, self.settings.nbest
        positions = model.decoder.model.config.max_position_embeddings
        shortest, longest = self.settings.length_limits(lengths, positions)
        found = model.decoder.generate_with_scores(
            frames,
            lengths,
            model.sos,
            model.eos,
            longest,
            shortest,
            languages,
            **self.options,
        )
        rows = zip(found.tokens.tolist(), found.lengths.tolist(), found.scores.tolist())
        hypotheses = [self._hypothesis(*row) for row in rows]
        groups = [hypotheses[i : i + nbest] for i in range(0, len(hypotheses), nbest)]
        # What was drawn comes in no order.
        return [sorted(group, key=lambda h: -h.score) for group in groups]

    def _hypothesis(self, tokens: List[int], length: int, score: float) -> Hypothesis:
        tokens = tokens[:length]
        if tokens[-1:] == [self.model.eos]:
            tokens = tokens[:-1]
        return Hypothesis(tokens, length, score)
